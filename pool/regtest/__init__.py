"""A real bitcoind, real Lightning nodes and a CPU miner on regtest, for the demo and the tests."""
