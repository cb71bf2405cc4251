"""PPS and FPPS in the books: shares are paid in slices of the log, each an entry, from the reserve.

A slice goes from the share after the last one that was paid to the newest, and never beyond the end of a
policy.  Its key names where it begins, so that no share can be paid twice; where it ends is in its memo, and
the next one begins there, after a crash too.  A slice of FPPS ends before the first share whose height has
no rate yet: it waits, and all behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from itertools import pairwise
from typing import Final, Protocol

from twisted.logger import Logger

from payouts.money import Msat
from pool import ledger
from pool.rewards.policy import AT_ONCE, Scheme, Term
from pool.rewards.pps import PaidKind, pay, span
from pool.store.ledger import LedgerStore

EVERY_MS: Final = 600_000
"""How long shares wait to be paid together."""
MOST_SHARES: Final = 1 << 18
"""Log ids in a slice: what is read and written at once is bounded."""


class PaidLog(Protocol):
    """The shares of one pot."""

    def paid_kinds(self, after_id: int, last_id: int, span: int) -> Mapping[PaidKind, int]:
        """How many shares of each kind there are with ``after_id < id <= last_id``.

        ``span`` heights are one, counted from a multiple of it.
        """
        ...

    def heights(self, after_id: int, last_id: int) -> Mapping[int, int]:
        """The first log id of each height that shares with ``after_id < id <= last_id`` sought."""
        ...


class Log(Protocol):
    """The share log."""

    def newest(self) -> int:
        """Log id of the newest share, 0 when there is none."""
        ...

    def pot(self, name: str) -> PaidLog:
        """The shares of one pot."""
        ...


def paid_entry(
    pot: str, term: Term, after_id: int, last_id: int, credits_: Mapping[str, Msat]
) -> ledger.Entry:
    """A slice of a pot's shares is paid: the reserve owes it to the miners, who can have it at once."""
    total = sum(credits_.values())
    memo = {
        "pot": pot,
        "policy_hash": term.policy.hash,
        "after_share": after_id,
        "last_share": last_id,
        "paid_msat": str(total),
    }
    moves = [(ledger.miner(name, "available"), -amount) for name, amount in credits_.items()]
    return ledger.entry(f"shares:{pot}:{after_id}", "shares", memo, [(ledger.RESERVE, total), *moves])


class Crediting:
    """Pays for the shares of every pot whose policy says so.

    Args:
        store: the books.
        log: the share log.
        wall_ms: Unix milliseconds now.
    """

    _log = Logger()

    def __init__(self, store: LedgerStore, log: Log, wall_ms: Callable[[], int]) -> None:
        self._store = store
        self._shares = log
        self._wall_ms = wall_ms
        self._paid_ms: dict[str, int] = {}
        self._waiting: dict[str, frozenset[int]] = {}

    def waiting(self) -> Collection[int]:
        """Heights of shares that cannot be paid before their rate is known, as the newest step met them."""
        return frozenset().union(*self._waiting.values())

    def step(self) -> int:
        """Write the slices that are due, also of pots that have no port any more; answers how many."""
        return sum(self._step(pot) for pot in self._store.pots())

    def _step(self, pot: str) -> int:
        terms = self._store.terms(pot)
        if all(term.policy.scheme not in AT_ONCE for term in terms):
            return 0
        now_ms, newest = self._wall_ms(), self._shares.newest()
        written = 0
        # the last one has no end yet: its shares wait until it is time
        for term, following in pairwise([*terms, None]):
            if term is None or term.policy.scheme not in AT_ONCE:
                continue
            if following is None and now_ms - self._paid_ms.get(pot, 0) < EVERY_MS:
                continue
            end = newest if following is None else following.after_share
            written += self._pay(pot, term, end, now_ms)
            if self._waiting[pot]:
                break
            if following is None:
                self._paid_ms[pot] = now_ms
        return written

    def _pay(self, pot: str, term: Term, end: int, now_ms: int) -> int:
        written = 0
        self._waiting[pot] = frozenset()
        while (after := max(self._store.paid_until(pot), term.after_share)) < end:
            last, fees = self._payable(pot, term, after, min(end, after + MOST_SHARES))
            if last == after:
                break
            counts = self._shares.pot(pot).paid_kinds(after, last, span(term.policy))
            credits_ = pay(counts, term.policy, fees)
            self._store.post(paid_entry(pot, term, after, last, credits_), now_ms)
            paid = sum(credits_.values())
            self._log.info(
                "Shares up to {last} of pot {pot} were paid at once",
                last=last,
                pot=pot,
                shares=sum(counts.values()),
                paid_msat=paid,
            )
            written += 1
        return written

    def _payable(self, pot: str, term: Term, after: int, last: int) -> tuple[int, Mapping[int, Msat]]:
        """How far the shares behind one can be paid, and by which rates; what is missing is noted."""
        if term.policy.scheme is not Scheme.FPPS:
            return last, {}
        first_ids = self._shares.pot(pot).heights(after, last)
        fees = self._store.rates.parts(first_ids, term.policy)
        missing = first_ids.keys() - fees.keys()
        self._waiting[pot] = frozenset(missing)
        return min([last, *(first_ids[height] - 1 for height in missing)]), fees
