"""How terms are announced: what they were, what they are, since when; on pages and in the API."""

from __future__ import annotations

from pathlib import Path

from pool.rewards.policy import Policy, Scheme, Term
from pool.store.ledger import LedgerStore
from pool.store.policies import PolicyChange
from pool.web.terms import News, announcements
from tests.pool.test_store_queries import NOW_MS
from tests.pool.test_web_site import outline
from tests.pool.web_site import Running


def change(policy: Policy, n: int, pot: str = "pool") -> PolicyChange:
    return PolicyChange(pot, Term(policy, n), NOW_MS + n)


def test_a_change_is_told_as_what_was_and_what_is_of_its_own_pot() -> None:
    changes = [
        change(Policy(4, 250, Scheme.TIDES), 30),
        change(Policy(8, 50, Scheme.SOLO), 20, "solo"),
        change(Policy(1, 100, Scheme.PROP), 10),
        change(Policy(8, 100), 0),
    ]
    newest, solo, prop, first = announcements(changes)
    assert newest.news == (
        News("Scheme", "PROP", "TIDES"),
        News("Fee", "1 %", "2.5 %"),
        News("Window", "none", "4 blocks of work"),
    )
    assert prop.news == (News("Scheme", "PPLNS", "PROP"), News("Window", "8 blocks of work", "none"))
    assert (solo.news, first.news) == ((), ())
    assert [each.whose for each in (newest, solo)] == ["The pool", "Ports with scheme solo"]
    assert newest.from_ms == NOW_MS + 30


def test_who_is_about_to_start_sees_what_has_changed(tmp_path: Path) -> None:
    running = Running(tmp_path)
    store = LedgerStore(running.ledger)
    store.adopt({"pool": Policy(8, 100)}, 0, NOW_MS - 1)
    assert "have changed" not in outline(running.ask("/start").text).text
    store.adopt({"pool": Policy(4, 250)}, 75, NOW_MS)
    for page in ("/start", "/blocks"):
        text = outline(running.ask(page).text).text
        assert "The pool, for shares after 2027-01-15 08:00 UTC" in text
        assert "Fee: 1 % → 2.5 %" in text
        assert "Window: 8 blocks of work → 4 blocks of work" in text
    assert "have changed" in outline(running.ask("/start").text).text


def test_a_port_that_became_solo_is_news_too(tmp_path: Path) -> None:
    running = Running(tmp_path)
    store = LedgerStore(running.ledger)
    store.adopt({"pool": Policy(8, 100), "tides": Policy(8, 100, Scheme.TIDES)}, 0, NOW_MS - 1)
    assert "have changed" not in outline(running.ask("/start").text).text
    store.adopt({"solo": Policy(8, 50, Scheme.SOLO)}, 75, NOW_MS)
    text = outline(running.ask("/start").text).text
    assert "Ports with scheme solo: solo: a block is its finder's alone" in text
    assert "TIDES" not in text


def test_the_api_tells_every_term_and_what_it_changed(tmp_path: Path) -> None:
    running = Running(tmp_path)
    store = LedgerStore(running.ledger)
    store.adopt({"pool": Policy(8, 100), "solo": Policy(8, 50, Scheme.SOLO)}, 0, NOW_MS - 1)
    store.adopt({"pool": Policy("7.5", 100)}, 75, NOW_MS)
    newest, *_, first = running.ask("/api/v1/terms").json["terms"]
    assert newest == {
        "pot": "pool",
        "from_ms": NOW_MS,
        "after_share": 75,
        "scheme": "pplns",
        "fee_bps": 100,
        "window_blocks": "15/2",
        "policy_hash": Policy("7.5", 100).hash,
        "text": first["text"].replace("worth 8 blocks", "worth 7.5 blocks"),
        "changed": [{"what": "Window", "before": "8 blocks of work", "after": "7.5 blocks of work"}],
    }
    assert [each["window_blocks"] for each in running.ask("/api/v1/terms").json["terms"]] == [
        "15/2",
        None,
        "8",
    ]
