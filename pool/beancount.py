"""The journal in Beancount's text format: account names mapped there and back, amounts to the millisatoshi.

Amounts are whole numbers of the commodity MSAT.  Beancount allows a difference of half a unit in the last
place that a file writes (and of a whole one in a balance), so with bitcoin of eleven decimals it would not
see a missing millisatoshi; with whole numbers it allows none.  Source: Beancount's language syntax, and its
"Precision & Tolerances".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Final, Protocol

from pool.errors import LedgerError
from pool.ledger import Posting

COMMODITY: Final = "MSAT"
_ROOTS: Final = {
    "assets": "Assets",
    "liabilities": "Liabilities",
    "equity": "Equity",
    "income": "Income",
    "expense": "Expenses",
}
_ROOT_OF: Final = {theirs: ours for ours, theirs in _ROOTS.items()}
_OURS: Final = re.compile(r"[a-z]+(_[a-z]+)*")
_THEIRS: Final = re.compile(r"[A-Z][a-z]*(-[a-z]+)*")
_MINERS: Final = ("liabilities", "miners")
_OWNER: Final = re.compile(r"M(?:[A-Za-z0-9]|-[0-9a-f]{2})+")
_PLAIN: Final = re.compile(rb"[A-Za-z0-9]")
_ESCAPED: Final = re.compile(rb"-([0-9a-f]{2})")


class Row(Protocol):
    """An entry of the journal; pool.store.audit.JournalRow is one."""

    @property
    def id(self) -> int:
        """Its number."""
        ...

    @property
    def key(self) -> str:
        """Its idempotency key."""
        ...

    @property
    def kind(self) -> str:
        """What happened, one word."""
        ...

    @property
    def time_ms(self) -> int:
        """When it was written, Unix milliseconds."""
        ...

    @property
    def hash(self) -> str:
        """Its link in the chain."""
        ...

    @property
    def postings(self) -> Sequence[Posting]:
        """Its sides."""
        ...


@lru_cache(maxsize=1 << 16)  # the same few names in millions of lines
def their_account(ours: str) -> str:
    """A ledger account's name in Beancount.

    ``assets:immature_treasury`` is ``Assets:Immature-treasury``.  A miner's name is ``M`` and the name, with
    ``-`` and two hex digits for each byte of it that is no letter or digit.

    Raises:
        LedgerError: it has no such name.
    """
    root, *rest = ours.split(":")
    if root not in _ROOTS or not rest:
        raise LedgerError(f"{ours!r} has no name in Beancount")
    parts = [_ROOTS[root]]
    for place, part in enumerate(rest):
        if (root, rest[0]) == _MINERS and place == 1:
            parts.append(f"M{_escaped(part)}")
        elif _OURS.fullmatch(part):
            parts.append(part[0].upper() + part[1:].replace("_", "-"))
        else:
            raise LedgerError(f"{ours!r} has no name in Beancount")
    return ":".join(parts)


def our_account(theirs: str) -> str:
    """The ledger account that a name in Beancount stands for: the way back.

    Raises:
        LedgerError: it is none of ours.
    """
    root, *rest = theirs.split(":")
    if root not in _ROOT_OF or not rest:
        raise LedgerError(f"{theirs!r} is no account of the ledger")
    parts = [_ROOT_OF[root]]
    for place, part in enumerate(rest):
        if (parts[0], rest[0].lower()) == _MINERS and place == 1:
            if not _OWNER.fullmatch(part):
                raise LedgerError(f"{theirs!r} is no account of the ledger")
            parts.append(_ESCAPED.sub(lambda m: bytes.fromhex(m[1].decode()), part[1:].encode()).decode())
        elif _THEIRS.fullmatch(part):
            parts.append(part[0].lower() + part[1:].replace("-", "_"))
        else:
            raise LedgerError(f"{theirs!r} is no account of the ledger")
    return ":".join(parts)


def _escaped(name: str) -> str:
    return "".join(chr(byte) if _PLAIN.fullmatch(bytes([byte])) else f"-{byte:02x}" for byte in name.encode())


def exported(
    title: str, first_ms: int, accounts: Iterable[str], rows: Iterable[Row], balances: Mapping[str, int]
) -> Iterator[str]:
    """The whole journal as pieces of text, an entry at a time: nothing is kept but the day.

    Args:
        title: of the books.
        first_ms: the earliest moment of any entry, Unix milliseconds; accounts are opened on its day.
        accounts: every ledger account that ever moved.
        rows: the journal, oldest first.
        balances: by account, msat, debit positive, as the books have them after the last entry; asserted on
            the day after it, so that whoever reads the file checks that nothing is missing from it.
    """
    yield f'option "title" {_string(title)}\noption "operating_currency" "{COMMODITY}"\n'
    opened = day_of(first_ms)
    yield f"{opened} commodity {COMMODITY}\n"
    for account in accounts:
        yield f"{opened} open {their_account(account)} {COMMODITY}\n"
    last = opened
    for row in rows:
        last = max(last, day_of(row.time_ms))
        yield _transaction(row)
    after = last + timedelta(days=1)
    for account, amount in balances.items():
        yield f"{after} balance {their_account(account)} {amount} {COMMODITY}\n"


def day_of(time_ms: int) -> date:
    """The day of a moment, in UTC."""
    return datetime.fromtimestamp(time_ms // 1000, UTC).date()


def _transaction(row: Row) -> str:
    moment = datetime.fromtimestamp(row.time_ms // 1000, UTC).isoformat()
    lines = [
        f"{day_of(row.time_ms)} * {_string(row.kind)} {_string(row.key)}",
        f"  entry: {row.id}",
        f"  time: {_string(moment)}",
        f"  hash: {_string(row.hash)}",
    ]
    lines += [f"  {their_account(posting.account)}  {posting.amount} {COMMODITY}" for posting in row.postings]
    return "\n".join(lines) + "\n"


def _string(text: str) -> str:
    """A text in quotes; a reference of an operator's may have any character in it."""
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{"".join(char if char.isprintable() else " " for char in quoted)}"'
