"""One peer gets so much of the door, whatever its address is; rubbish has consequences, bad luck none."""

from __future__ import annotations

import pytest

from stratum.errors import Code
from stratum.limits import INVALID_IN_A_ROW, Addresses, Conduct, Measure, holder


def measures(conduct: Conduct, count: int, code: Code = Code.LOW_DIFFICULTY) -> list[Measure]:
    """What other than nothing came of so many refusals."""
    found = [conduct.refused(code) for _ in range(count)]
    return [measure for measure in found if measure is not Measure.NONE]


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::7", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("", ""),
        ("/run/sluice.sock", ""),
    ],
)
def test_an_address_belongs_to_whoever_can_have_more_of_them(host: str, name: str) -> None:
    assert holder(host) == name


def test_an_address_has_so_many_connections_and_no_more() -> None:
    addresses = Addresses(2)
    assert [addresses.enter("a") for _ in range(3)] == [True, True, False]
    assert addresses.enter("b")
    addresses.leave("a")
    assert addresses.enter("a")
    assert not addresses.enter("a")


def test_without_a_limit_or_without_an_address_everybody_enters() -> None:
    assert all(Addresses(None).enter("a") for _ in range(100))
    assert all(Addresses(1).enter("") for _ in range(100))


def test_stale_shares_never_have_consequences() -> None:
    assert measures(Conduct(0.0), 10_000, Code.STALE) == []


def test_invalid_shares_are_met_with_ever_harder_measures() -> None:
    conduct = Conduct(0.0)
    assert measures(conduct, INVALID_IN_A_ROW - 1) == []
    assert measures(conduct, 1) == [Measure.RESEND]
    assert measures(conduct, 3 * INVALID_IN_A_ROW) == [Measure.RECONNECT, Measure.DROP, Measure.DROP]


def test_a_machine_that_mostly_works_may_have_hardware_errors() -> None:
    conduct = Conduct(0.0)
    for _ in range(20):
        conduct.accepted += 30
        assert measures(conduct, INVALID_IN_A_ROW) == []


def test_a_machine_that_recovered_is_forgiven() -> None:
    conduct = Conduct(0.0)
    assert measures(conduct, INVALID_IN_A_ROW) == [Measure.RESEND]
    conduct.accepted += 100
    assert measures(conduct, INVALID_IN_A_ROW) == []
    assert measures(conduct, INVALID_IN_A_ROW) == [Measure.RESEND]


def test_a_proxy_may_authorize_its_workers_at_once_but_nobody_may_go_on_like_that() -> None:
    conduct = Conduct(0.0)
    assert all(conduct.requested(0.0) for _ in range(1_002))
    assert not all(conduct.requested(1.0) for _ in range(1_100))


def test_a_request_every_few_seconds_is_never_too_many() -> None:
    conduct = Conduct(0.0)
    assert all(conduct.requested(0.1 * number) for number in range(10_000))
