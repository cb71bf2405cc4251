"""``sluice check``'s part on the coinbase: how long it becomes, and which machines do not take it."""

from __future__ import annotations

from contextlib import closing
from typing import Final

from payouts.money import Sat
from pool.chain.coinbase import Mark, Payee, build_paying, outputs_for, size_bytes, too_long_for
from pool.chain.template import EMPTY_COMMITMENT, Template
from pool.config import Config
from pool.errors import StoreError
from pool.proof.commitment import DATA_BYTES
from pool.store.database import FILES, connect_to_read, schema_number
from pool.store.stock import WHOLE_BPS, payees
from stratum.units import MAX_TARGET, Height

_HEIGHT: Final = Height(1 << 22)
"""Of a block for decades to come: its push has four bytes."""
_KEY_HASH, _TAPROOT = b"\x00\x14" + bytes(20), b"\x51\x20" + bytes(32)


async def coinbase(config: Config) -> str:
    """How long the coinbase becomes with what is configured, and who does not take it."""
    size = size_bytes(
        build_paying(
            _template(),
            outputs_for(_template().value, _payees(config)),
            Mark(config.stratum.front_id, 0, 0),
            config.stratum.tag.encode("ascii"),
            data=bytes(DATA_BYTES) if config.rewards.commit else b"",
        )
    )
    said = f"{size} bytes" + (", fixes the share log" if config.rewards.commit else "")
    refusing = too_long_for(size)
    if not refusing:
        return f"{said}: every known machine takes it"
    shorter = "shorten stratum.tag" + (", or set rewards.commit = false" if config.rewards.commit else "")
    return f"{said}, too long for {', '.join(refusing)}: if any shall mine here, {shorter}"


def _payees(config: Config) -> tuple[Payee, ...]:
    """Whom the next block would pay, or scripts of the usual length."""
    part = config.onchain.treasury_bps
    try:
        with closing(connect_to_read(config.store.directory, "ledger")) as ledger:
            if schema_number(ledger) == len(FILES["ledger"]):
                found = payees(ledger, frozenset, part)()
                if found is not None:
                    return found
    except StoreError:
        pass  # the pool never ran
    both = (Payee("", _TAPROOT, part), Payee("", _KEY_HASH, WHOLE_BPS - part))
    return tuple(payee for payee in both if payee.bps)


def _template() -> Template:
    return Template(
        height=_HEIGHT,
        prev_hash=bytes(32),
        version=0,
        nbits=0,
        network_target=MAX_TARGET,
        curtime_s=0,
        mintime_s=0,
        value=Sat(312_500_000),
        transactions=(),
        txids=(),
        witness_commitment=EMPTY_COMMITMENT,
        longpoll_id=None,
        branches=(),
    )
