"""The audit of rewards: policies followed through the journal, every division made again from the raw log."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

from payouts.money import Msat
from pool import ledger
from pool.fixed_sums import sums_again
from pool.rewards.exact import fraction_text
from pool.rewards.policy import AT_ONCE, Policy, Scheme, Term, policy_of
from pool.rewards.recount import RawPart, divided_again, mean_again, paid_again, recount_parts
from pool.store.audit import Audit, BlockRow, JournalRow
from pool.store.policies import policy_entry, term_of
from pool.store.rates import rate_entry, rate_of


class RewardAudit:
    """Goes through the journal beside the rest of the audit, and keeps the policies that it meets.

    Args:
        audit: the files.
        wrong: told each difference, in a sentence.
    """

    def __init__(self, audit: Audit, wrong: Callable[[str], None]) -> None:
        self._audit = audit
        self._wrong = wrong
        self._terms: dict[str, list[Term]] = {}
        self._by_reward: dict[str, list[Term]] = {}
        self._paid_until: dict[str, int] = {}
        self._rates: dict[tuple[int, int], dict[int, int]] = {}

    def adopt(self, row: JournalRow, memo: Mapping[str, Any]) -> None:
        """A policy comes into force: its hash is right, and it follows the one before it."""
        pot, term = str(memo["pot"]), term_of(memo)
        known = self._terms.setdefault(pot, [])
        if memo != policy_entry(pot, len(known), term).memo or row.postings:
            self._wrong(f"{row.key}: is not the next policy of its pot with the hash of its terms")
        if term.after_share < (known[-1].after_share if known else 0) or (not known and term.after_share):
            self._wrong(f"{row.key}: begins at share {term.after_share}, which an earlier policy holds for")
        known.append(term)

    def learn(self, row: JournalRow, memo: Mapping[str, Any]) -> None:
        """A height gets its rate: it is the trimmed mean of the fees that are named, as many as there are."""
        rate = rate_of(memo)
        part = mean_again(rate.fees, rate.blocks, rate.trim)
        if memo != {**rate_entry(rate).memo, "fees_msat": str(part)} or row.postings:
            self._wrong(f"{row.key}: is not the mean of the fees that it names, {part} msat")
        if row.key != f"rate:{rate.height}" or len(rate.fees) != max(0, min(rate.blocks, rate.height - 1)):
            self._wrong(f"{row.key}: names {len(rate.fees)} blocks before height {rate.height}")
        self._rates.setdefault((rate.blocks, rate.trim), {})[rate.height] = part

    def resume(self, pot: str, last_id: int) -> None:
        """Go on behind the slices of a pot that end with this share."""
        self._paid_until[pot] = last_id

    def postings(
        self,
        key: str,
        memo: Mapping[str, Any],
        block: BlockRow,
        residual: int,
        owed: Mapping[str, int],
    ) -> list[ledger.Posting]:
        """What a reward should have written.

        Args:
            key: of the entry.
            memo: of the entry.
            block: as the books have it.
            residual: of the pot before the entry, msat.
            owed: by account, what is kept of earlier rewards of this block that were reversed, msat.
        """
        last_id = self._last_id(block)
        terms = self._terms_for(memo, block)
        parts = recount_parts(self._audit.pot(block.pot), terms, last_id)
        self._compare_parts(key, memo, parts)
        value = int(memo["value_msat"])
        if value != block.value_msat:
            self._wrong(f"{key}: divides {value} msat, the block pays {block.value_msat}")
        credits_, fee, reserve, left_over = divided_again(
            parts, value, residual, block.account, int(memo.get("height", 0))
        )
        for text in sums_again(key, memo, credits_):
            self._wrong(text)
        kept = {account: min(part, owed.get(account, 0)) for account, part in credits_.items()}
        recovered = {account: str(part) for account, part in kept.items() if part}
        if recovered != memo["recovered_msat"]:
            self._wrong(f"{key}: recovers other amounts than its reversals left")
        sides = {ledger.miner(name, "immature"): kept[name] - part for name, part in credits_.items()}
        treasury = int(memo.get("treasury_msat", "0"))
        sides[ledger.IMMATURE] = value - treasury
        sides[ledger.TREASURY_IMMATURE] = treasury
        sides[ledger.POOL_FEE] = -fee
        sides[ledger.RESERVE] = -reserve
        sides[ledger.residual(block.pot)] = residual - left_over
        sides[ledger.ORPHAN_LOSS] = -sum(kept.values())
        return [ledger.Posting(account, Msat(amount)) for account, amount in sides.items()]

    def shares(self, row: JournalRow, memo: Mapping[str, Any]) -> list[ledger.Posting]:
        """What a slice of shares that are paid at once should have written, counted share by share.

        Each slice begins where the one before ended, or where its policy does, and ends with it.
        """
        pot, after, last = str(memo["pot"]), int(memo["after_share"]), int(memo["last_share"])
        terms = self._terms.get(pot, [])
        term = next((term for term in reversed(terms) if term.after_share <= after), None)
        if term is None:
            raise ValueError(f"pot {pot} has no policy yet")
        ends = [each.after_share for each in terms if each.after_share > after]
        policy = term.policy
        if policy.scheme not in AT_ONCE or memo["policy_hash"] != policy.hash:
            self._wrong(f"{row.key}: pays by another policy than the one in force, {policy.text}")
        begin = max(self._paid_until.get(pot, 0), term.after_share)
        if row.key != f"shares:{pot}:{after}" or after != begin or last <= after or last > min([last, *ends]):
            self._wrong(f"{row.key}: pays shares {after} to {last}, but the next one to pay is after {begin}")
        self._paid_until[pot] = max(last, self._paid_until.get(pot, 0))
        shares = self._audit.pot(pot).paid(last, after)
        paid = paid_again(shares, policy.fee_bps, policy.halving_blocks, self._fees(policy))
        if memo["paid_msat"] != str(sum(paid.values())):
            self._wrong(
                f"{row.key}: says it pays {memo['paid_msat']} msat, the share log {sum(paid.values())}"
            )
        sides = {ledger.miner(name, "available"): -amount for name, amount in paid.items()}
        sides[ledger.RESERVE] = sum(paid.values())
        return [ledger.Posting(account, Msat(amount)) for account, amount in sides.items()]

    def _fees(self, policy: Policy) -> Mapping[int, int] | None:
        """What is paid for fees at each height that has a rate by the policy's rule; None: nothing is."""
        if policy.scheme is not Scheme.FPPS:
            return None
        return self._rates.get((policy.fee_blocks, policy.fee_trim), {})

    def _last_id(self, block: BlockRow) -> int:
        if block.share_id is not None:
            return block.share_id
        return self._audit.pot(block.pot).share_before(block.found_id)

    def _terms_for(self, memo: Mapping[str, Any], block: BlockRow) -> list[Term]:
        """The policies of the block's pot; a block that comes back is divided as it was the first time."""
        first = self._by_reward.get(block.hash)
        if first is None:
            old = "parts" not in memo  # from before policies were written down
            known = self._terms.get(block.pot, [])
            first = [Term(policy_of(memo["policy"]), 0)] if old else list(known)
            self._by_reward[block.hash] = first
        if not first:
            raise ValueError(f"pot {block.pot} has no policy yet")
        return first

    def _compare_parts(self, key: str, memo: Mapping[str, Any], parts: list[RawPart]) -> None:
        noted = memo.get("parts", [memo])
        if len(noted) != len(parts):
            self._wrong(f"{key}: divides among {len(noted)} policies instead of {len(parts)}")
            return
        for there, part in zip(noted, parts, strict=True):
            policy = part.term.policy
            if policy_of(there["policy"]) != policy or there.get("policy_hash", policy.hash) != policy.hash:
                self._wrong(f"{key}: is divided by another policy than the one in force, {policy.text}")
            self._compare_window(key, there["window"], part)

    def _compare_window(self, key: str, window: Mapping[str, Any] | None, part: RawPart) -> None:
        counted = part.counted
        if window is None or counted is None:
            if (window is None) is not (counted is None):
                self._wrong(f"{key}: only one of books and policy has a window")
            return
        border = counted.border and {"share_id": counted.border[0], "part": fraction_text(counted.border[1])}
        found = {
            "last_id": part.last_id,
            "first_id": counted.first_id,
            "full": counted.full,
            "score": fraction_text(sum(counted.scores.values(), Fraction(0))),
            "border": border,
        }
        for name, value in found.items():
            if window[name] != value:
                self._wrong(f"{key}: the window's {name} is {window[name]}, the share log says {value}")
