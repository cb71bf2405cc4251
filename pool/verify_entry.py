"""An entry of the journal beside what it should be, posting by posting."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from pool import ledger
from pool.store.audit import JournalRow


def compared(row: JournalRow, expected: Iterable[ledger.Posting]) -> Iterator[str]:
    """Name every posting that is not what it should be, in a sentence each."""
    should = Counter({posting.account: int(posting.amount) for posting in expected})
    there: Counter[str] = Counter()
    for posting in row.postings:
        there[posting.account] += posting.amount
    for account in sorted(should.keys() | there.keys()):
        if should[account] != there[account]:
            yield f"{row.key}: {account} has {there[account]} msat, not {should[account]}"
