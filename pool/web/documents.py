"""Statements and receipts for who asks on the web: bounded, one at a time, and away from the reactor."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from twisted.internet.defer import DeferredLock
from twisted.web.iweb import IRequest

from pool.statements import Bounds, Made, NotMade, receipt_of, statement_of
from pool.web import reply
from pool.web.access import protect, visitor
from pool.web.bucket import Gate, Rate
from pool.web.ports import InThread

WEB: Final = Bounds(listed=2_000, counted=200_000, archives=False)
"""What the site does for a stranger: a second's work, and an answer of some megabytes."""
DOCUMENTS: Final = Rate(30, 1_000)
"""Documents that are made: a bound on how long the disk is read for strangers."""
DOCUMENTS_EACH: Final = Rate(10, 6_000)
_MISSING: Final = {"no_such_block", "no_such_share", "no_part"}
TOO_MANY: Final = NotMade("too_many_at_once", "many have asked for proofs just now: try again in a minute")


class Documents:
    """Makes documents for the site.

    Args:
        directory: of the store.
        in_thread: runs reads away from the reactor.
        now_ms: Unix milliseconds.
    """

    def __init__(self, directory: Path, in_thread: InThread, now_ms: Callable[[], int]) -> None:
        self._directory = directory
        self._in_thread = in_thread
        self._now_ms = now_ms
        self._gate = Gate(DOCUMENTS, DOCUMENTS_EACH)
        self._turn = DeferredLock()

    async def statement(self, request: IRequest, account: str, block_hash: str) -> Made | NotMade:
        """A statement of an account, which the caller knows to be the asker's to see."""
        return await self._made(request, statement_of, self._directory, account, block_hash.lower(), WEB)

    async def receipt(self, request: IRequest, account: str, share_id: int | None = None) -> Made | NotMade:
        """A receipt of a share of an account, which the caller knows to be the asker's to see.

        Without a log id, of its newest one that a block has fixed.
        """
        return await self._made(request, receipt_of, self._directory, account, share_id)

    async def _made(
        self, request: IRequest, make: Callable[..., Made | NotMade], *args: object
    ) -> Made | NotMade:
        if not self._gate.take(self._now_ms(), visitor(request)):
            return TOO_MANY
        made: Made | NotMade = await self._turn.run(self._in_thread, make, *args)
        return made


def status_of(refused: NotMade) -> int:
    """The HTTP status that a refusal has."""
    if refused is TOO_MANY:
        return 429
    return 404 if refused.code in _MISSING else 409


def as_file(request: IRequest, made: Made) -> bytes:
    """A document as a file that the browser keeps."""
    protect(request, private=True)
    request.responseHeaders.setRawHeaders("Content-Disposition", [f'attachment; filename="{made.file}"'])
    return reply.typed(request, "application/json", made.text.encode())
