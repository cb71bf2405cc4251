"""The payer's telling of wallets that there is something to withdraw again (LUD-15)."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Final

from payouts.money import Sat, to_msat
from payouts.notifier import Notifier, NotifierOptions, Teller
from pool.config import LightningConfig
from pool.payable import payable_now
from pool.roles.base import Context
from pool.store.claims import ClaimReader
from pool.store.flows import FlowReader
from pool.store.notices import NoticeStore

NOTIFY_EVERY_S: Final = 5.0


def notifying(
    context: Context,
    lightning: LightningConfig,
    ledger: sqlite3.Connection,
    teller: Teller,
    busy: Callable[[], bool],
) -> Notifier:
    """A Notifier as the configuration has it; whoever made it calls its ``look`` every NOTIFY_EVERY_S.

    Args:
        context: of the payer.
        lightning: the section of that name.
        ledger: ``ledger.db``, to write.
        teller: the way to strangers.
        busy: whether claims wait.
    """
    minimum, reader = Sat(lightning.minimum_sat), ClaimReader(ledger)
    payable = payable_now(FlowReader(ledger), lightning, context.config.payouts, context.now_ms)

    def is_payable(account: str) -> bool:
        return payable.most(account, reader.available(account)) >= minimum

    options = NotifierOptions(to_msat(minimum), is_payable, busy)
    return Notifier(NoticeStore(ledger), teller, context.now_ms, options)
