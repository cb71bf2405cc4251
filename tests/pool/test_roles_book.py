"""The book watches over itself: rewards counted again in the background, and the day's assertion."""

from __future__ import annotations

from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

import attrs
from prometheus_client import CollectorRegistry
from twisted.internet.task import Clock
from twisted.logger import Logger, capturedLogs

from pool import config as configuration
from pool import ledger
from pool.metrics import BookMetrics
from pool.roles.base import Context
from pool.roles.book import ASSERT_EVERY_S, EARLY_EVERY_S, RECHECK_EVERY_S, BookRole
from pool.store.assertions import DAY_MS, AssertionTable
from pool.store.flows import FlowReader
from pool.store.reward_checks import RewardChecks
from tests.pool.cli_tools import configure
from tests.pool.test_advances import deposit, find_another, see
from tests.pool.test_settle import NOW_MS, G, Pool, run
from tests.pool.test_verify import pool, tamper

__all__ = ["pool"]  # a fixture: three blocks, of which the third is an orphan
LATER = "aa" * 32


class Reactor(Clock):
    """A clock, and what threads ask it to call."""

    def __init__(self) -> None:
        super().__init__()
        self._asked: SimpleQueue[tuple[Callable[..., object], tuple[Any, ...]]] = SimpleQueue()

    def callFromThread(self, function: Callable[..., object], *args: Any) -> None:
        self._asked.put((function, args))

    def obey(self) -> None:
        function, args = self._asked.get(timeout=10)
        function(*args)


def role_on(pool: Pool, reactor: Reactor) -> BookRole:
    config = configuration.load(configure(pool.directory), secrets=())
    failures: list[Exception] = []
    wall = NOW_MS / 1000
    return BookRole(Context(config, reactor, lambda: wall + reactor.seconds(), Logger(), failures.append))


def test_each_reward_is_counted_again_in_its_turn_and_a_wrong_one_stops_payments(pool: Pool) -> None:
    tamper(pool.books, "UPDATE posting SET amount_msat = amount_msat + 1 WHERE id = 1")
    reactor, checks = Reactor(), RewardChecks(pool.books)
    role = role_on(pool, reactor)
    role._watch_over(pool.books)
    reactor.advance(3 * RECHECK_EVERY_S)  # one at a time, however long it takes
    reactor.obey()
    assert checks.counts() == (1, 0)
    reactor.advance(RECHECK_EVERY_S)
    reactor.obey()
    assert checks.counts() == (2, 1)
    assert "was not divided as its shares say" in (FlowReader(pool.books).stopped() or "")
    role._loops.stop()


def test_a_book_that_credits_early_does_it_by_itself_and_tells_the_cap(pool: Pool) -> None:
    deposit(pool, G)
    find_another(pool, LATER)
    see(pool, 30, LATER, terms=None)
    settler = pool.settler()
    run(settler.step())
    registry, reactor = CollectorRegistry(), Reactor()
    role, metrics = role_on(pool, reactor), BookMetrics(registry)
    role._credit_early(pool.store, pool.books, settler, metrics)
    reactor.advance(EARLY_EVERY_S)
    assert pool.balance(ledger.ADVANCED) == 0  # it is not configured
    rewards = configuration.RewardsConfig(credit_confirmations=20, credit_cap_sat=5_000)
    config = role._context.config.model_copy(update={"rewards": rewards})
    role._context = attrs.evolve(role._context, config=config)
    role._credit_early(pool.store, pool.books, settler, metrics)
    reactor.advance(EARLY_EVERY_S)
    assert pool.balance(ledger.ADVANCED) == 5_000_000
    assert registry.get_sample_value("sluice_early_credit_cap_msat") == 5_000_000
    role._loops.stop()


def test_a_new_day_is_asserted_once_and_told_to_the_log(pool: Pool) -> None:
    reactor = Reactor()
    role = role_on(pool, reactor)
    with capturedLogs() as events:
        role._watch_over(pool.books)
        reactor.obey()
        assert AssertionTable(pool.books).all() == []
        reactor.pump([DAY_MS / 1000, ASSERT_EVERY_S])
        role._loops.stop()
    (said,) = AssertionTable(pool.books).all()
    assert said.journal_hash == pool.store.head()
    assert [event["hash"] for event in events if event.get("day") == said.day] == [said.journal_hash]
