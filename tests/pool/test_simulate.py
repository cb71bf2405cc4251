"""What the scheme promises holds, at sizes small enough for every run of the tests."""

from __future__ import annotations

import json
from math import exp
from random import Random

import attrs
import pytest
from click.testing import CliRunner

from pool.simulate import __main__ as entry
from pool.simulate import hopping, retarget, ruin
from pool.simulate.__main__ import Sizes, simulate
from pool.simulate.figures import Figure, lines, simulated

SMALL = Sizes(rounds=4_000, shares=10_000, pools=300, per_unit=40)


def test_every_promise_is_kept_for_any_seed() -> None:
    for seed in (1, 2):
        assert [each for each in simulate(seed, SMALL) if not each.ok] == []


def test_the_same_seed_gives_the_same_figures_and_another_one_others() -> None:
    small = attrs.evolve(SMALL, per_unit=10)
    assert simulate(5, small) == simulate(5, small)
    assert simulate(5, small) != simulate(6, small)


def test_the_exponential_integral_is_that_of_the_tables() -> None:
    # Abramowitz and Stegun, table 5.1
    assert hopping.e1(0.5) == pytest.approx(0.559773595, abs=1e-9)
    assert hopping.e1(1.0) == pytest.approx(0.219383934, abs=1e-9)
    assert hopping.e1(2.0) == pytest.approx(0.048900511, abs=1e-9)


def test_a_hopper_leaves_where_another_share_is_worth_its_work() -> None:
    x = hopping.leaving_point()
    assert exp(x) * hopping.e1(x) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("fee", [0.001, 0.01, 0.05, 0.2, 0.5, 0.9])
def test_the_exponent_of_ruin_solves_its_equation(fee: float) -> None:
    theta = ruin.exponent(fee)
    assert theta > 0
    assert (1 - fee) * theta == pytest.approx(1 - exp(-theta), rel=1e-9)
    assert ruin.ruin(fee, ruin.reserve_for(fee, 0.01)) == pytest.approx(0.01)


def test_a_raw_window_pays_more_or_less_than_a_share_is_worth_around_a_retarget_only() -> None:
    log = retarget.make_log(100, harder=True)
    values = {place: retarget.raw_value(log, place) for place in (1, 800, 801, 1600, 1601)}
    # the edge itself: 1 and 1/10 of a window at the new difficulty, 1/1.1² each
    assert values[801] == pytest.approx(1 + 0.1 / 1.21, abs=0.002)
    assert values[1600] == pytest.approx(1 / 1.1, abs=0.002)
    assert values[1] == pytest.approx(1)
    assert values[1601] == pytest.approx(1)


def test_a_scheme_that_is_not_fair_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def raw(log: retarget.Log, places: list[int]) -> dict[int, float]:
        return {place: retarget.raw_value(log, place) for place in places}

    monkeypatch.setattr(retarget, "unit_values", raw)
    unit = [each for each in retarget.figures(20) if each.how == "product"]
    assert [each.ok for each in unit] == [False] * 4


def test_a_hopper_that_stays_gains_nothing() -> None:
    gain, error = hopping._play(Random(1), 4_000, 50.0)  # noqa: S311 -- statistics
    assert abs(gain) < 5 * error + 1e-9


def test_a_figure_outside_its_tolerance_is_marked() -> None:
    figures = [Figure("g", "good", 1.0, 1.1, 0.2, "exact"), simulated("g", "bad", 1.0, 1.1, 0.01)]
    assert [each.ok for each in figures] == [True, False]
    assert [line.endswith("OUTSIDE") for line in lines(figures)] == [False, False, False, True]


def test_the_command_ends_with_status_1_when_a_promise_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    good = Figure("g", "n", 1.0, 1.0, 0.1, "exact")
    for figures, status in (([good], 0), ([good, attrs.evolve(good, ours=2.0)], 1)):
        monkeypatch.setattr(entry, "simulate", lambda _, figures=figures: figures)
        document = CliRunner().invoke(entry.main, ["--json", "--seed", "7"])
        assert document.exit_code == status
        written = json.loads(document.output)
        assert (written["ok"], written["seed"], len(written["figures"])) == (not status, 7, len(figures))
        table = CliRunner().invoke(entry.main, [])
        assert table.exit_code == status
        assert f"{'none' if not status else 1} of {len(figures)} figures outside" in table.output
