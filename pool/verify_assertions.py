"""The audit of daily assertions: the journal still is what it was when each of them was written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from pool.store.assertions import TYPES, Assertion, type_of
from pool.store.audit import JournalRow


class AssertionAudit:
    """Goes through the journal beside the rest of the audit.

    Args:
        assertions: oldest first.
        wrong: told each difference, in a sentence.
    """

    def __init__(self, assertions: Sequence[Assertion], wrong: Callable[[str], None]) -> None:
        self._open = sorted(assertions, key=lambda each: (each.journal_id, each.day))
        self._wrong = wrong
        self._sums: Counter[str] = Counter()
        self._checked = 0

    def walked(self, row: JournalRow) -> None:
        """The next entry of the journal."""
        self._missing_before(row.id)
        for posting in row.postings:
            self._sums[type_of(posting.account)] += posting.amount
        while self._open and self._open[0].journal_id == row.id:
            self._compare(self._open.pop(0), row)

    def ended(self) -> int:
        """The journal has no more entries; answers how many assertions there were."""
        self._missing_before(None)
        return self._checked

    def _missing_before(self, journal_id: int | None) -> None:
        while self._open and (journal_id is None or self._open[0].journal_id < journal_id):
            gone = self._open.pop(0)
            self._checked += 1
            self._wrong(
                f"{gone.day} began with entry {gone.journal_id}, which is not in the journal any more:"
                " history was changed since"
            )

    def _compare(self, said: Assertion, row: JournalRow) -> None:
        self._checked += 1
        if said.journal_hash != row.hash:
            self._wrong(
                f"{said.day} began with entry {row.id} under hash {said.journal_hash}, it is {row.hash} now:"
                " history was changed since"
            )
        for kind in TYPES:
            if said.sums[kind] != self._sums[kind]:
                self._wrong(
                    f"{said.day} began with {kind} of {said.sums[kind]} msat, the journal comes to"
                    f" {self._sums[kind]} now"
                )
