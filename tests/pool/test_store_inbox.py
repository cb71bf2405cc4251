"""The web's file: accounts asked for, claims filed once, and what is still due for an answer."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

from payouts.values import Claim
from pool.errors import StoreError
from pool.store.database import connect, connect_to_read
from pool.store.inbox import KEEP_NOTIFY_MS, ClaimQueue, InboxReader, InboxStore
from pool.store.ledger import NewAccount

CLAIM = Claim(0, "alice", 2_000, "aa" * 32, "lnbcrt1one", 1_000, 6_000)


@pytest.fixture
def inbox(tmp_path: Path) -> InboxStore:
    return InboxStore(connect(tmp_path, "inbox"))


@pytest.fixture
def reader(inbox: InboxStore, tmp_path: Path) -> InboxReader:
    return InboxReader(connect_to_read(tmp_path, "inbox"))


def answer(tmp_path: Path, claim: Claim) -> None:
    """The payer's refusal of a claim, in the books."""
    connect(tmp_path, "ledger").execute(
        "INSERT INTO claim (claim_id, account, k1_hash, invoice, taken, reason, answered_ms)"
        " VALUES (?, ?, ?, ?, 0, 'no', 1)",
        (claim.claim_id, claim.account, claim.k1_hash, claim.invoice),
    )


def test_the_same_k1_and_invoice_is_one_claim_with_the_first_ones_deadline(
    inbox: InboxStore, reader: InboxReader
) -> None:
    first = inbox.file(CLAIM)
    again = inbox.file(attrs.evolve(CLAIM, filed_ms=3_000, answer_by_ms=8_000))
    assert again == first == attrs.evolve(CLAIM, claim_id=first.claim_id)
    assert reader.claims_due(0) == [first]


def test_another_invoice_for_the_same_k1_is_another_claim(inbox: InboxStore, reader: InboxReader) -> None:
    first, second = inbox.file(CLAIM), inbox.file(attrs.evolve(CLAIM, invoice="lnbcrt1two"))
    assert first.claim_id != second.claim_id
    assert reader.claims_due(0) == [first, second]


def test_a_claim_is_due_up_to_the_last_moment_of_its_time_and_void_behind_it(
    inbox: InboxStore, reader: InboxReader
) -> None:
    claim = inbox.file(CLAIM)
    assert reader.claims_due(6_000) == [claim]
    assert reader.claims_due(6_001) == []


def test_the_queue_leaves_out_what_the_books_have_answered_and_keeps_the_order(
    inbox: InboxStore, reader: InboxReader, tmp_path: Path
) -> None:
    claims = [inbox.file(attrs.evolve(CLAIM, invoice=f"lnbcrt1n{n}")) for n in range(4)]
    answer(tmp_path, claims[1])
    queue = ClaimQueue(reader, connect(tmp_path, "ledger"), lambda: 2_000)
    assert queue.unanswered(10) == [claims[0], claims[2], claims[3]]
    assert queue.unanswered(2) == [claims[0], claims[2]]


def test_the_queue_gives_out_nothing_whose_time_is_over(
    inbox: InboxStore, reader: InboxReader, tmp_path: Path
) -> None:
    inbox.file(CLAIM)
    queue = ClaimQueue(reader, connect(tmp_path, "ledger"), lambda: 6_001)
    assert queue.unanswered(10) == []


def test_accounts_are_read_behind_a_row_number(inbox: InboxStore, reader: InboxReader) -> None:
    alice, bob = NewAccount("alice", "aa", 1), NewAccount("bob-1", "bb", 2)
    inbox.ask_for_account(alice)
    inbox.ask_for_account(bob)
    rows = reader.accounts_after(0)
    assert [account for _, account in rows] == [alice, bob]
    assert reader.accounts_after(rows[0][0]) == [rows[1]]
    assert reader.accounts_after(rows[1][0]) == []


def test_a_name_can_be_asked_for_once(inbox: InboxStore, reader: InboxReader) -> None:
    inbox.ask_for_account(NewAccount("alice", "aa", 1))
    with pytest.raises(StoreError, match="an account named alice already"):
        inbox.ask_for_account(NewAccount("alice", "bb", 2))
    assert len(reader.accounts_after(0)) == 1


def test_a_reader_cannot_write(inbox: InboxStore, tmp_path: Path) -> None:
    with pytest.raises(Exception, match="readonly"):
        InboxStore(connect_to_read(tmp_path, "inbox")).file(CLAIM)


def test_a_wallets_url_for_news_is_taken_away_again_after_an_hour(
    inbox: InboxStore, reader: InboxReader
) -> None:
    url = "https://wallet.example/wake?token=t0psecret"
    filed = inbox.file(attrs.evolve(CLAIM, card=7, notify=url))
    assert [claim.notify for claim in reader.claims_due(0)] == [filed.notify] == [url]
    assert "t0psecret" not in repr(filed)
    later = attrs.evolve(CLAIM, invoice="lnbcrt1two", filed_ms=CLAIM.answer_by_ms + KEEP_NOTIFY_MS + 1)
    inbox.file(later)
    assert [claim.notify for claim in reader.claims_due(0)] == [None, None]
