"""``sluice check``'s part on the treasury: whether blocks can pay it, if they shall."""

from __future__ import annotations

from contextlib import closing

from pool.config import Config
from pool.errors import ConfigError, StoreError
from pool.store.database import connect_to_read, schema_number
from pool.store.schema import LEDGER
from pool.store.schema_blocks import STEP
from pool.store.treasury import TreasuryTable
from pool.treasury import derive


async def treasury(config: Config) -> str:
    """What was seen.

    Raises:
        ConfigError: blocks shall pay a treasury that there is not: miners would have no work.
    """
    part = config.onchain.treasury_bps
    if not part:
        return "blocks pay the node's wallet alone (onchain.treasury_bps is 0)"
    descriptor = _descriptor(config)
    if descriptor is None:
        raise ConfigError(
            "onchain.treasury_bps: there is no descriptor to pay to, and no work without one:"
            " `sluice treasury import` takes it"
        )
    (first,) = derive(descriptor, 0, 1, config.node.network)
    return f"{part} of 10000 of each block go to the descriptor whose index 0 is {first.address}"


def _descriptor(config: Config) -> str | None:
    try:
        with closing(connect_to_read(config.store.directory, "ledger")) as ledger:
            if schema_number(ledger) <= LEDGER.index(STEP):
                return None
            in_use = TreasuryTable(ledger).in_use()
    except StoreError:  # the pool never ran
        return None
    return None if in_use is None else in_use.descriptor
