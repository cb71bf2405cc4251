"""A payer killed wherever it can be: its successor pays once or not at all, and the books know which."""

from __future__ import annotations

from collections.abc import Hashable

import pytest

from tests.payouts.crashes.points import ROOT, Life, Point, Step, awaits, points_in, points_of
from tests.payouts.crashes.scenarios import SCENARIOS, Scenario
from tests.payouts.crashes.world import MODULES, World

ELSEWHERE = {
    "payouts/lightning/cln.py": "tests/payouts/lightning/test_payer_on_nodes.py",
    "payouts/lightning/electrum.py": "tests/regtest/test_payer_killed.py",
    "payouts/lightning/fees.py": "tests/regtest/test_payer_killed.py",
    "payouts/lightning/http.py": "tests/payouts/lightning/test_payer_on_nodes.py",
    "payouts/lightning/lnd.py": "tests/payouts/lightning/test_payer_on_nodes.py",
    "payouts/lightning/phoenixd.py": "tests/payouts/lightning/test_payer_on_nodes.py",
    "payouts/onchain/bitcoind.py": "tests/regtest/test_onchain.py",
    "payouts/outbound.py": "tests/regtest/test_payer_killed.py",
    "payouts/socks.py": "tests/regtest/test_payer_killed.py",
}
"""What waits below a port and writes nothing: the tests that kill a payer in it, or around it."""
NO_MONEY = {
    "payouts/lightning/reading.py",
    "payouts/notifier.py",
    "payouts/ports.py",
    "payouts/web.py",
    "payouts/witness.py",
}
"""What waits and moves none: a port, the web's side, news for wallets, what strangers say."""


def rehearse(scenario: Scenario) -> Life:
    """Go through a story without a crash until it is over; where the payer was."""
    world = World()
    scenario.before(world)
    life = Life(MODULES, world.stands)
    world.begin(life)
    scenario.story(world)
    life.dead = True
    follow(scenario, world)
    return life


def follow(scenario: Scenario, world: World) -> None:
    """The next payer finds what the dead one left, and what comes of it is judged."""
    world.begin()
    scenario.story(world)
    world.end()
    world.judge()
    assert scenario.expect(world)


def different(scenario: Scenario, life: Life, seen: set[Hashable]) -> list[int]:
    """The numbers of steps at which no payer has died yet while things stood like that."""
    numbers = []
    for number, step in enumerate(life.steps):
        apart = scenario.name if scenario.otherwise and has_payments(step) else ""
        if (step, apart) not in seen:
            seen.add((step, apart))
            numbers.append(number)
    return numbers


def has_payments(step: Step) -> bool:
    assert isinstance(step.around, tuple)
    return bool(step.around[0])


def all_points() -> set[Point]:
    return set().union(*(points_of(module) for module in MODULES))


def test_wherever_a_payer_dies_the_money_left_once_or_is_there_and_no_point_is_left_out() -> None:
    seen: set[Hashable] = set()
    died_at: set[Point] = set()
    for scenario in SCENARIOS:
        life = rehearse(scenario)
        for number in different(scenario, life, seen):
            world = World()
            scenario.before(world)
            dying = Life(MODULES, world.stands, number)
            world.begin(dying)
            scenario.story(world)
            assert (dying.dead, dying.steps) == (True, [life.steps[number]])
            died_at.update(dying.steps[0].where)
            try:
                follow(scenario, world)
            except AssertionError as error:
                places = "; ".join(str(point) for point in dying.steps[0].where)
                raise AssertionError(f"{scenario.name}: {dying.steps[0].when} {places}") from error
    missed = sorted(all_points() - died_at)
    assert not missed, "no payer has died at:\n" + "\n".join(str(point) for point in missed)


def test_every_module_that_waits_is_died_in_here_or_elsewhere() -> None:
    waiting = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "payouts").rglob("*.py")
        if awaits(path.relative_to(ROOT).as_posix())
    }
    assert waiting - MODULES - {*ELSEWHERE} - NO_MONEY == set()
    assert all((ROOT / test).is_file() for test in ELSEWHERE.values())


@pytest.mark.parametrize(
    ("line", "count"),
    [
        ("await self._node.balance()", 1),
        ("await anything_else()", 1),
        ("self._book.stopped()", 1),
        ("[each async for each in self._node.stream()]", 1),
        ("self._options.terms.at(0)", 0),
    ],
)
def test_a_new_await_or_call_of_a_port_is_a_point_at_once(line: str, count: int) -> None:
    module = "payouts/sender.py"
    source = (ROOT / module).read_text(encoding="utf-8")
    grown = source + f"\n    async def _new(self) -> None:\n        {line}\n"
    assert len(points_in(grown, module) - points_in(source, module)) == count
