"""The audit of the books: all of it computed again from the share log, and every difference named."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from payouts.money import Msat, Sat, to_msat
from pool import ledger
from pool.adjustments import booked, from_entry
from pool.advances import advanced_again
from pool.errors import ArchiveError, PoolError
from pool.store.audit import Audit, BatchRow, JournalRow, PaymentRow
from pool.treasury import transfer_again
from pool.verify_archive import check_archive
from pool.verify_assertions import AssertionAudit
from pool.verify_entry import compared
from pool.verify_proofs import ProofAudit
from pool.verify_report import Report
from pool.verify_rewards import RewardAudit
from pool.verify_rows import check_rows


def verify(shares: sqlite3.Connection, books: sqlite3.Connection) -> Report:
    """Check the books against the share log and against themselves.

    Args:
        shares: shares.db, for reading.
        books: ledger.db, for reading.
    """
    audit = Audit(shares, books)
    proven: list[str] = []
    with audit.snapshot():
        report = _Verifier(audit).run()
        checked = ProofAudit(shares, books, proven.append).run()
    return Report({**report.checked, **checked}, (*report.differences, *proven))


class _Verifier:
    """One run: walks the journal in its order with balances of its own, then looks at the other tables."""

    def __init__(self, audit: Audit) -> None:
        self._audit = audit
        self._balances: dict[str, Msat] = {}
        self._kinds: dict[str, str] = {}  # of every entry that was walked over, by key
        self._block_keys: dict[str, set[str]] = {}
        self._owed_back: dict[str, Counter[str]] = {}
        self._checked: Counter[str] = Counter()
        self._differences: list[str] = []
        self._blocks = {block.hash: block for block in audit.blocks()}
        self._rewards = RewardAudit(audit, self._wrong)

    def run(self) -> Report:
        if count := check_archive(self._audit, self._wrong):
            self._checked["files of archived shares"] = count
        self._walk()
        self._check_balances()
        self._check_blocks()
        for payment in self._audit.payments():
            self._check_payment(payment)
        for batch in self._audit.batches():
            self._check_batch(batch)
        self._check_open_holds()
        return Report(dict(self._checked), tuple(self._differences))

    def _wrong(self, text: str) -> None:
        self._differences.append(text)

    # ------------------------------------------------------------------------------------------- the journal

    def _walk(self) -> None:
        previous = ledger.GENESIS
        asserted = AssertionAudit(self._audit.assertions(), self._wrong)
        for row in self._audit.entries():
            self._checked["journal entries"] += 1
            digest = ledger.entry_hash(previous, row.key, row.kind, row.time_ms, row.memo, row.postings)
            if (row.previous, row.hash) != (previous, digest):
                self._wrong(f"{row.key}: the hash chain breaks here (entry {row.id} was changed)")
            previous = row.hash
            total = sum(posting.amount for posting in row.postings)
            if total:
                self._wrong(f"{row.key}: the postings sum to {total} msat instead of zero")
            self._check_content(row)
            self._kinds[row.key] = row.kind
            if row.kind in {"reward", "advance", "mature", "reverse"}:
                block_hash = row.key.partition(":")[2].partition(":")[0]
                self._block_keys.setdefault(block_hash, set()).add(row.key)
            self._add(row)
            asserted.walked(row)
        if count := asserted.ended():
            self._checked["daily assertions"] = count
        for stray in self._audit.stray_postings():
            self._wrong(f"posting {stray} belongs to no entry")

    def _add(self, row: JournalRow) -> None:
        for posting in row.postings:
            self._checked["postings"] += 1
            balance = Msat(self._balances.get(posting.account, 0) + posting.amount)
            self._balances[posting.account] = balance
            sign = {"assets": 1, "liabilities": -1}.get(posting.account.partition(":")[0], 0)
            if sign * balance < 0:
                self._wrong(f"{row.key}: {posting.account} is overdrawn by {abs(balance)} msat")

    def _check_content(self, row: JournalRow) -> None:
        """Compute an entry that follows from the past again, with balances as they were then."""
        try:
            memo: Mapping[str, Any] = json.loads(row.memo)
            match row.kind:
                case "reward":
                    self._check_reward(row, memo)
                case "shares":
                    self._checked["slices of shares that were paid at once"] += 1
                    self._compare(row, self._rewards.shares(row, memo))
                case "policy":
                    self._checked["policies"] += 1
                    self._rewards.adopt(row, memo)
                case "rate":
                    self._checked["rates of fees"] += 1
                    self._rewards.learn(row, memo)
                case "advance" | "mature" | "reverse":
                    self._check_follow_up(row, memo)
                case "deposit" | "transfer" | "withdrawal" | "move" | "loss" | "correction":
                    self._compare(row, _said_again(row, memo).postings)
                case _:  # holds and what ends them are compared with their payments
                    pass
        except (KeyError, ValueError, TypeError, AttributeError, ArithmeticError, PoolError) as error:
            self._wrong(f"{row.key}: {_trouble(error)}")

    def _compare(self, row: JournalRow, expected: Iterable[ledger.Posting]) -> None:
        self._differences += compared(row, expected)

    # ------------------------------------------------------------------------------------------- the rewards

    def _check_reward(self, row: JournalRow, memo: Mapping[str, Any]) -> None:
        block = self._blocks.get(memo["block"])
        if block is None or row.key != f"reward:{memo['block']}:{memo['n']}":
            self._wrong(f"{row.key}: there is no such block")
            return
        self._checked["rewards counted again share by share"] += 1
        residual = -self._balances.get(ledger.residual(block.pot), 0)
        owed = self._owed_back.get(block.hash, Counter())
        self._compare(row, self._rewards.postings(row.key, memo, block, residual, owed))

    def _check_follow_up(self, row: JournalRow, memo: Mapping[str, Any]) -> None:
        block_hash, n = str(memo["block"]), int(memo["n"])
        reward_key = f"reward:{block_hash}:{n}"
        reward = self._audit.entry(reward_key) if reward_key in self._kinds else None
        if reward is None or row.key != f"{row.kind}:{block_hash}:{n}":
            self._wrong(f"{row.key}: there is no reward before it")
            return
        made = self._follow_up(row, memo, ledger.Entry(reward.key, reward.kind, {}, reward.postings))
        self._compare(row, made.postings)
        if memo != made.memo:
            what = "shortfalls" if row.kind == "reverse" else "amounts"
            self._wrong(f"{row.key}: its memo names other {what} than the balances left")
        if row.kind == "reverse":
            owed = self._owed_back.setdefault(block_hash, Counter())
            owed.update({account: int(short) for account, short in memo["short_msat"].items()})

    def _follow_up(self, row: JournalRow, memo: Mapping[str, Any], rewarded: ledger.Entry) -> ledger.Entry:
        """What became of a reward, derived again from the balances as they were."""
        block_hash, n = str(memo["block"]), int(memo["n"])
        was_mature = f"mature:{block_hash}:{n}" in self._kinds
        key = f"advance:{block_hash}:{n}"
        early = self._audit.entry(key) if key in self._kinds else None
        advanced = early and ledger.Entry(early.key, early.kind, {}, early.postings)
        if row.kind == "mature":
            return ledger.mature(block_hash, n, rewarded, advanced)
        if row.kind == "reverse":
            return ledger.reverse(
                block_hash, n, rewarded, was_mature=was_mature, balances=self._balances, advanced=advanced
            )
        self._checked["blocks that were credited early"] += 1
        if was_mature or f"reverse:{block_hash}:{n}" in self._kinds:
            self._wrong(f"{row.key}: its block had matured or was orphaned by then")
        return advanced_again(rewarded, memo, self._balances)

    # -------------------------------------------------------------------------------------- the other tables

    def _check_balances(self) -> None:
        table = self._audit.balances()
        for account in sorted(table.keys() | self._balances.keys()):
            self._checked["balances"] += 1
            shown, is_so = table.get(account), self._balances.get(account)
            if shown is None or is_so is None:
                self._wrong(f"{account}: it has {'postings' if shown is None else 'a balance'} alone")
            elif shown != is_so:
                self._wrong(f"{account}: the balance is {shown} msat, its postings sum to {is_so}")
        if sum(table.values()):
            self._wrong(f"all balances together are {sum(table.values())} msat instead of zero")

    def _check_blocks(self) -> None:
        check_rows(self._audit, self._wrong)
        for block in self._blocks.values():
            self._checked["blocks"] += 1
            there = self._block_keys.pop(block.hash, set())
            # a number that was changed may be beyond all that fits into memory: one too many is enough
            activations = min(block.activations, len(there) + 1)
            last, live = activations - 1, block.state in {"immature", "mature"}
            expected = {f"reward:{block.hash}:{n}" for n in range(activations)}
            expected |= {f"reverse:{block.hash}:{n}" for n in range(last if live else last + 1)}
            if block.state == "mature":
                expected.add(f"mature:{block.hash}:{last}")
            if (block.state == "submitted" and block.activations) or (live and not block.activations):
                self._wrong(f"block {block.hash}: {block.state} after {block.activations} activations")
            # a reward that was reversed may have matured before, and any may have been credited early
            may = {f"mature:{block.hash}:{n}" for n in range(last if live else last + 1)}
            may |= {f"advance:{block.hash}:{n}" for n in range(activations)}
            for key in sorted((expected - there) | (there - expected - may)):
                what = "is missing" if key in expected else "should not be there"
                self._wrong(f"block {block.hash} is {block.state}: {key} {what}")

    def _check_payment(self, payment: PaymentRow) -> None:
        self._checked["Lightning payments"] += 1
        held = Msat(payment.amount_msat + payment.max_fee_msat)
        made = [ledger.hold(payment.id, payment.account, held)]
        if payment.state == "failed":
            made.append(ledger.release(payment.id, payment.account, held))
        elif payment.state == "settled":
            amount, fee = Msat(payment.amount_msat), Msat(payment.fee_msat or 0)
            made.append(ledger.settle(payment.id, payment.account, held, amount, fee))
        self._expect(made, [f"{kind}:{payment.id}" for kind in ("hold", "release", "settle")])

    def _check_batch(self, batch: BatchRow) -> None:
        self._checked["on-chain batches"] += 1
        amounts = {account: to_msat(Sat(amount)) for account, amount in batch.outputs}
        made = [ledger.batch_hold(batch.id, amounts)]
        if batch.state == "rejected":
            made.append(ledger.batch_release(batch.id, amounts))
        elif batch.state == "settled":
            made.append(ledger.batch_settle(batch.id, amounts, Sat(batch.fee_sat)))
        self._expect(made, [f"batch-{kind}:{batch.id}" for kind in ("hold", "release", "settle")])

    def _expect(self, made: Iterable[ledger.Entry], possible: Iterable[str]) -> None:
        """The journal has exactly these of the possible entries, with these postings."""
        missing = set(possible)
        for entry in made:
            missing.discard(entry.key)
            row = self._audit.entry(entry.key)
            if row is None:
                self._wrong(f"{entry.key}: missing from the journal")
            else:
                self._kinds.pop(entry.key, None)
                self._compare(row, entry.postings)
        for key in sorted(missing & self._kinds.keys()):
            self._wrong(f"{key}: should not be in the journal")
            del self._kinds[key]

    def _check_open_holds(self) -> None:
        """What is left of holds in the journal after all payments were found has no payment."""
        kinds = ("hold", "release", "settle", "batch-hold", "batch-release", "batch-settle")
        for key, kind in self._kinds.items():
            if kind in kinds:
                self._wrong(f"{key}: there is no such payment")


def _said_again(row: JournalRow, memo: Mapping[str, Any]) -> ledger.Entry:
    """An operator's entry, made again from what its memo says."""
    reference = row.key.partition(":")[2]
    match row.kind:
        case "deposit":
            return ledger.deposit(reference, memo["asset"], Msat(int(memo["amount_msat"])))
        case "transfer":
            return transfer_again(reference, memo)
        case _:
            return booked(from_entry(row.key, memo))


def _trouble(error: Exception) -> str:
    """Why an entry could not be computed again."""
    if isinstance(error, ArchiveError):
        return f"it cannot be counted again, since {error}"
    return f"its memo does not say how it was computed ({error})"
