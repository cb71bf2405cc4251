"""``sluice check``'s part on early credit: whether the pool owns what it is told to lend."""

from __future__ import annotations

from contextlib import closing

from payouts.money import floor_sat
from pool.advances import standing
from pool.config import Config
from pool.errors import ConfigError
from pool.store.queries import Queries


async def early_credit(config: Config) -> str:
    """What was seen.

    Raises:
        ConfigError: rewards shall come early, and there is no money of the pool's own to pay them from.
    """
    queries = Queries(config.store.directory)
    with closing(queries):
        found = standing(config, queries.ledger_balances())
    if found is None:
        return "rewards wait until they mature (rewards.credit_confirmations is not set)"
    if found.cap is None or found.limit >= found.cap:
        return found.words()
    if not found.limit:
        raise ConfigError(
            "rewards.credit_confirmations: the pool owns nothing at hand to lend: put money into one of its"
            " wallets and book it with `sluice ledger deposit`, or leave the key out"
        )
    return (
        f"{found.words()}: rewards.credit_cap_sat, {floor_sat(found.cap):,}, is more than the pool has at"
        " hand; deposit more, or lower it"
    )
