"""``sluice demo``: the whole pool on a private regtest network, and a miner who is really paid."""
