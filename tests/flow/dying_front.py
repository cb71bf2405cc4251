"""A front that dies by SIGKILL at a chosen step of a found block, which $SLUICE_DIES names.

The arguments are those of ``python -m pool``.  Its store and its node are proxies around the real ones, so
that nothing in the product knows about dying.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence
from typing import NoReturn

from twisted.internet.defer import Deferred

from pool import __main__
from pool.chain.bitcoind import BitcoindNode
from pool.chain.node import SubmitResult
from pool.roles import front
from pool.store.shares import Found, ShareStore
from stratum.ports import Share

VARIABLE = "SLUICE_DIES"
BEFORE_COMMIT = "saved, but neither logged nor submitted"
BEFORE_SUBMISSION = "saved and logged, but not submitted"
AFTER_SUBMISSION = "accepted by the node, which nobody wrote down"


def _die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("still alive")


class DyingStore(ShareStore):
    """Dies around the commit of a block."""

    def write(self, batch: Sequence[Share], found: Mapping[str, Found], *, wait: bool = True) -> bool:
        if found and os.environ[VARIABLE] == BEFORE_COMMIT:
            _die()
        written = super().write(batch, found, wait=wait)
        if found and os.environ[VARIABLE] == BEFORE_SUBMISSION:
            _die()
        return written


class DyingNode(BitcoindNode):
    """Never lets a block out, or dies when the node has it."""

    async def submit(self, block_hex: str) -> SubmitResult:
        if os.environ[VARIABLE] != AFTER_SUBMISSION:
            await Deferred()
        await super().submit(block_hex)
        _die()


if __name__ == "__main__":
    vars(front).update(ShareStore=DyingStore, BitcoindNode=DyingNode)
    __main__.main()
