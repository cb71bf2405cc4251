"""What is left to do for a block is known from the log and from what nodes said, without its file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pool.store.database import connect, connect_to_read
from pool.store.shares import Found, ShareStore
from pool.store.submissions import Answer, Submissions

HASH = "ab" * 32


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ShareStore]:
    connection = connect(tmp_path, "shares")
    yield ShareStore(connection, 0)
    connection.close()


@pytest.fixture
def known(store: ShareStore, tmp_path: Path) -> Iterator[Submissions]:
    connection = connect_to_read(tmp_path, "shares")
    yield Submissions(connection)
    connection.close()


@pytest.mark.parametrize(
    ("said", "answered"),
    [
        ([], False),
        ([("a", "unanswered")], False),
        ([("a", "unanswered"), ("a", "accepted")], True),
        ([("a", "accepted"), ("b", "unanswered")], True),
        ([("a", "inconclusive"), ("b", "unanswered")], True),
        ([("a", "high-hash"), ("b", "unanswered")], False),
        ([("a", "high-hash"), ("b", "bad-cb-amount")], True),
    ],
)
def test_a_block_is_answered_when_a_node_has_it_or_all_that_were_asked_refused_it(
    store: ShareStore, known: Submissions, said: list[tuple[str, str]], answered: bool
) -> None:
    for at_ms, (node, result) in enumerate(said):
        store.record_submission(HASH, node, result, at_ms)

    assert known.is_answered(HASH) is answered
    assert known.answers(HASH) == [Answer(*each, at_ms) for at_ms, each in enumerate(said)]


def test_a_block_that_is_not_in_the_log_is_not_done_whatever_nodes_said(
    store: ShareStore, known: Submissions
) -> None:
    store.record_submission(HASH, "a", "accepted", 1)
    assert not known.is_done(HASH)

    store.write_without_share(Found(HASH, "00" * 32, 7, "ann", "w", "bcrt1q", 1, "7-ab.json"))

    assert known.is_done(HASH)
    assert not known.is_done("cd" * 32)
