"""The payer's asking of payees' services about payments without an outcome (LUD-21)."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Final

from payouts.pusher import Strangers
from payouts.witness import Witness, WitnessOptions
from pool.roles.base import Context
from pool.store.witnesses import WitnessStore

WITNESS_EVERY_S: Final = 30.0


def witnessing(
    context: Context, ledger: sqlite3.Connection, strangers: Strangers, busy: Callable[[], bool]
) -> Witness:
    """A Witness as the configuration has it; whoever made it calls its ``look`` every WITNESS_EVERY_S.

    Args:
        context: of the payer.
        ledger: ``ledger.db``, to write.
        strangers: the way to them.
        busy: whether claims wait.
    """
    overdue_ms = context.config.payouts.unknown_after_s * 1000
    return Witness(WitnessStore(ledger), strangers, context.now_ms, WitnessOptions(overdue_ms, busy))
