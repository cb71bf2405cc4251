"""Early credit: how much of which block miners may have before it matures, out of the pool's own money.

A block is credited early once, whole, as soon as it is deep enough and has room; one that is more than there
can ever be room for, up to that much, in the same proportion for all of its miners.  The oldest comes first,
and those behind it wait for it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

import attrs
from twisted.logger import Logger

from payouts.money import Msat, Sat, floor_sat, to_msat
from pool import ledger
from pool.config import Config
from pool.errors import LedgerError
from pool.ledger import Entry
from pool.pots import declared_reserve
from pool.store.blocks import Block
from pool.store.flows import FlowReader
from pool.store.ledger import LedgerStore
from pool.store.reward_checks import RewardChecks

NOTHING: Final = Msat(0)


@attrs.frozen
class EarlyCredit:
    """What the operator allows.

    Attributes:
        confirmations: how deep a block has to be.
        cap: the most that may be credited for blocks that have not matured, all together.
        reserve: declared for shares that are paid at once (PPS): promised already, so it is not lent.
    """

    confirmations: int
    cap: Msat
    reserve: Msat = NOTHING


def early_credit(config: Config) -> EarlyCredit | None:
    """What the configuration allows; None: rewards wait until they mature."""
    depth, cap = config.rewards.credit_confirmations, config.rewards.credit_cap_sat
    if depth is None or cap is None:
        return None
    declared = declared_reserve(config)
    return EarlyCredit(depth, to_msat(Sat(cap)), NOTHING if declared is None else to_msat(declared[1]))


def exposure(balances: Mapping[str, int]) -> Msat:
    """What was credited early and has not matured, in msat: lost, if its blocks are."""
    return Msat(balances.get(ledger.ADVANCED, 0))


def owned(balances: Mapping[str, int], reserve: Msat = NOTHING) -> Msat:
    """The pool's own money at hand, in msat, what it has lent of it counted in; never below zero.

    At hand are the node's wallet and Lightning; not the treasury, where no payout leaves from.  Not its own
    is what miners can withdraw or are being paid, what divisions left over, and what is left of the reserve
    that shares are paid from.

    Args:
        balances: of the ledger, debit positive, msat; what is missing is zero.
        reserve: as declared.
    """
    at_hand = balances.get(ledger.HOT, 0) + balances.get(ledger.LIGHTNING, 0)
    due = -sum(
        amount
        for account, amount in balances.items()
        if account.startswith("liabilities:") and not account.endswith(":immature")
    )
    promised = max(0, reserve - balances.get(ledger.RESERVE, 0))
    return Msat(max(0, at_hand - due - promised + exposure(balances)))


def limit(terms: EarlyCredit, balances: Mapping[str, int]) -> Msat:
    """The most that the exposure may be now: the cap, or what the pool owns if that is less."""
    return min(terms.cap, owned(balances, terms.reserve))


@attrs.frozen
class Standing:
    """How early credit stands now, in msat.

    Attributes:
        exposure: what is out.
        limit: the most that may be.
        cap: the most that the operator wants to be; None while nothing new is credited early.
    """

    exposure: Msat
    limit: Msat
    cap: Msat | None

    def words(self) -> str:
        """The same in a short sentence."""
        if self.cap is None:
            return f"{floor_sat(self.exposure):,} sat credited before maturity; early credit is off now"
        most = f"{floor_sat(self.exposure):,} of at most {floor_sat(self.limit):,} sat"
        return f"{most} credited before maturity" + (" (all it owns)" if self.limit < self.cap else "")


def standing(config: Config, balances: Mapping[str, int]) -> Standing | None:
    """How early credit stands; None when it is off and nothing is out."""
    terms, out = early_credit(config), exposure(balances)
    if terms is None:
        return Standing(out, out, None) if out else None
    return Standing(out, limit(terms, balances), terms.cap)


def advanced(
    block_hash: str, n: int, rewarded: Entry, terms: EarlyCredit, balances: Mapping[str, int]
) -> Entry | None:
    """The entry by which a block is credited early; None while there is no room for it.

    Args:
        block_hash: display-order hex.
        n: of the reward.
        rewarded: the reward's entry.
        terms: of the operator.
        balances: of the ledger now, debit positive, msat.
    """
    most = limit(terms, balances)
    amount = Msat(min(ledger.lendable(rewarded), most))
    if amount <= 0 or exposure(balances) + amount > most:
        return None
    memo = {
        "confirmations": terms.confirmations,
        "cap_msat": str(terms.cap),
        "reserve_msat": str(terms.reserve),
        "owned_msat": str(owned(balances, terms.reserve)),
        "amount_msat": str(amount),
    }
    made = ledger.advance(block_hash, n, rewarded, amount, memo)
    return made if made.postings else None  # so little that every part of it is floored to nothing


def advanced_again(rewarded: Entry, memo: Mapping[str, Any], balances: Mapping[str, int]) -> Entry:
    """The same from what an entry's memo says, with the balances as they were; for the audit.

    Raises:
        KeyError, ValueError: the memo stands for none.
        LedgerError: by these balances there was no room.
    """
    terms = EarlyCredit(
        int(memo["confirmations"]), Msat(int(memo["cap_msat"])), Msat(int(memo["reserve_msat"]))
    )
    made = advanced(str(memo["block"]), int(memo["n"]), rewarded, terms, balances)
    if made is None:
        raise LedgerError("there was no room for it")
    return made


class Advancer:
    """Credits blocks early; the only writer of such entries.

    Args:
        store: the books.
        checks: which rewards were counted again.
        flows: whether sending is stopped: then books, wallets or rewards are in doubt, and nothing is lent.
        terms: of the operator.
        wall_ms: Unix milliseconds now.
    """

    _log = Logger()

    def __init__(
        self,
        store: LedgerStore,
        checks: RewardChecks,
        flows: FlowReader,
        terms: EarlyCredit,
        wall_ms: Callable[[], int],
    ) -> None:
        self._store = store
        self._checks = checks
        self._flows = flows
        self._terms = terms
        self._wall_ms = wall_ms
        self._waits = ""

    def step(self, shown: Collection[str]) -> None:
        """Credit what is deep enough and has room.

        Args:
            shown: hashes of blocks that the node has in its chain at its present tip; others are left alone.
        """
        if self._flows.stopped() is not None:
            return
        for block in self._store.blocks.to_advance(self._terms.confirmations):
            right = self._checks.right(reward_key(block))
            if block.found.hash not in shown or right is False:
                continue
            # what nobody has counted again yet may be wrong, and once it was paid out it would be too late
            if right is None or not self._advance(block):
                self._say_waits(block, "for its second count" if right is None else "for room")
                return

    def _advance(self, block: Block) -> bool:
        """Write the entry; False while there is no room for it."""
        n = block.activations - 1
        # the balances are of the same transaction: payments are made by another process
        with self._store.transaction():
            rewarded = self._store.entry(reward_key(block))
            if rewarded is None:
                raise LedgerError(f"block {block.found.hash} has no reward {n} in the journal")
            if not ledger.lendable(rewarded):  # as where shares were paid at once
                return True
            entry = advanced(block.found.hash, n, rewarded, self._terms, self._store.balances())
            if entry is None:
                return False
            self._store.post(entry, self._wall_ms())
        self._log.info(
            "Block {hash} at {height} was credited early",
            hash=block.found.hash,
            height=block.found.height,
            confirmations=block.confirmations,
            amount_msat=entry.memo["amount_msat"],
        )
        return True

    def _say_waits(self, block: Block, for_what: str) -> None:
        """Once, not at every step."""
        if (said := f"{block.found.hash} {for_what}") != self._waits:
            self._waits = said
            self._log.info(
                "Block {hash} at {height} waits {what} to be credited early",
                hash=block.found.hash,
                height=block.found.height,
                what=for_what,
            )


def reward_key(block: Block) -> str:
    """Key of the entry that rewarded a block last."""
    return f"reward:{block.found.hash}:{block.activations - 1}"
