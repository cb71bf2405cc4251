"""The web's file: accounts asked for, claims filed once, and what is still due for an answer."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
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


# ------------------------------------------------------------------------------------- a web that is not ours

NOW_MS = 1_000_000
DUE = attrs.evolve(CLAIM, answer_by_ms=NOW_MS + 5_000)
ROW = {
    "account": "'alice'",
    "token_expires_s": "2000",
    "k1_hash": "'aa'",
    "invoice": "'lnbcrt1'",
    "filed_ms": "1",
    "answer_by_ms": str(NOW_MS + 5_000),
    "card": "0",
}


def row(**changes: str) -> str:
    """SQL that files a claim with something in place of what belongs there."""
    values = ROW | changes
    return f"INSERT INTO claim ({', '.join(values)}) VALUES ({', '.join(values.values())})"  # noqa: S608


NUMBERS = ("token_expires_s", "filed_ms", "answer_by_ms", "card")
LEFT_OUT = [
    *(row(**{column: "x'00ff'"}) for column in ROW),
    *(row(**{column: value}) for column in NUMBERS for value in ("'text'", "1.5")),
    row(invoice="printf('%.*c', 900000, 'x')"),
    row(invoice="'lnbcrt1' || char(0) || printf('%.*c', 900000, 'x')"),
    row(account="printf('%.*c', 900000, 'x')"),
    row(answer_by_ms="9000000000000000000"),
    row(answer_by_ms="-5"),
    "INSERT INTO claim SELECT NULL, 'm', 1, 'k' || value, 'i', 1, 9000000000000, 0, NULL FROM"
    " (WITH RECURSIVE n(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n LIMIT 30000) SELECT * FROM n)",
]


@pytest.mark.parametrize("hostile", LEFT_OUT, ids=range(len(LEFT_OUT)))
def test_what_is_no_claim_is_left_out_and_hides_no_other(
    inbox: InboxStore, reader: InboxReader, tmp_path: Path, hostile: str
) -> None:
    with closing(sqlite3.connect(tmp_path / "inbox.db")) as web:
        web.execute(hostile)
        web.commit()
    honest = inbox.file(DUE)
    queue = ClaimQueue(reader, connect(tmp_path, "ledger"), lambda: NOW_MS)
    assert queue.unanswered(10) == [honest]


def test_a_text_that_is_no_utf_8_is_read_as_what_it_is_not(
    inbox: InboxStore, reader: InboxReader, tmp_path: Path
) -> None:
    with closing(sqlite3.connect(tmp_path / "inbox.db")) as web:
        web.execute(row(account="CAST(x'ff80' AS TEXT)", invoice="CAST(x'ff' AS TEXT)"))
        web.commit()
    (claim,) = reader.claims_due(NOW_MS)
    assert (claim.account, claim.invoice) == ("\ufffd\ufffd", "\ufffd")


@pytest.mark.parametrize(
    "script",
    [
        "DROP TABLE claim",
        "DROP TABLE claim; CREATE TABLE claim (id)",
        "DROP TABLE claim; CREATE VIEW claim AS WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id FROM n)"
        " SELECT id, 'm' AS account, 1 AS token_expires_s, 'k' AS k1_hash, 'i' AS invoice, 1 AS filed_ms,"
        " 1 AS answer_by_ms, 0 AS card, NULL AS notify FROM n",
        "ALTER TABLE claim ADD COLUMN more AS (printf('%.*c', 1000000000, 'x'))",
        "DROP TABLE claim; CREATE VIRTUAL TABLE claim USING fts5(id)",
    ],
    ids=["none", "another", "endless", "computed", "virtual"],
)
def test_a_file_that_is_no_inbox_any_more_has_no_claims_and_takes_no_time(
    inbox: InboxStore, reader: InboxReader, tmp_path: Path, script: str
) -> None:
    inbox.file(DUE)
    queue = ClaimQueue(reader, connect(tmp_path, "ledger"), lambda: NOW_MS)
    with closing(sqlite3.connect(tmp_path / "inbox.db")) as web:
        web.executescript(script)
    began_s = time.monotonic()
    assert queue.unanswered(10) == []
    assert time.monotonic() - began_s < 5
    with pytest.raises(StoreError, match=r"inbox\.db cannot be read"):
        reader.claims_due(NOW_MS)


def test_accounts_of_another_form_are_not_taken_over(
    inbox: InboxStore, reader: InboxReader, tmp_path: Path
) -> None:
    with closing(sqlite3.connect(tmp_path / "inbox.db")) as web:
        for name in ("x'00'", "17", "printf('%.*c', 900000, 'x')", "CAST(x'ff' AS TEXT)"):
            web.execute(f"INSERT INTO new_account (name, secret_hash, created_ms) SELECT {name}, {name}, 1")
        web.commit()
    inbox.ask_for_account(NewAccount("alice", "aa" * 32, 1))
    assert [account.name for _, account in reader.accounts_after(0)] == ["alice"]
