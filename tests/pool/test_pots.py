"""Which pots a configuration makes, under which policies, and how they read to people."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from pool.config import Config, parse
from pool.errors import ConfigError
from pool.pots import policies_of, pot_of, warnings
from pool.rewards.policy import Policy, Scheme
from pool.web.miner_ports import miner_ports
from pool.web.terms import policy_words


def config(**sections: Any) -> Config:
    return parse(sections, "sluice.toml")


def port(scheme: str, number: int = 3334) -> dict[str, Any]:
    return {"endpoint": f"tcp:{number}", "scheme": scheme}


def test_a_pool_has_one_pot_unless_a_port_has_a_scheme_of_its_own() -> None:
    assert policies_of(config()) == {"pool": Policy(8, 100)}
    plain = config(stratum={"port": [{"endpoint": "tcp:3334"}]})
    assert policies_of(plain) == {"pool": Policy(8, 100)}
    assert pot_of(plain.stratum.port[0]) == "pool"


def test_a_port_with_a_scheme_makes_a_pot_with_the_pools_terms_or_its_own() -> None:
    ports = {"port": [port("solo"), port("tides", 3335), port("solo", 3336)]}
    made = config(stratum=ports, rewards={"window": 4, "port": {"solo": {"fee_bps": 50}}})
    assert policies_of(made) == {
        "pool": Policy(4, 100),
        "solo": Policy(4, 50, Scheme.SOLO),
        "tides": Policy(4, 100, Scheme.TIDES),
    }
    assert [pot_of(each) for each in made.stratum.port] == ["solo", "tides", "solo"]
    (warning,) = warnings(made)
    assert "'tides'" in warning
    assert "who comes and goes" in warning


def test_a_port_with_the_pools_own_scheme_is_a_mistake() -> None:
    with pytest.raises(ConfigError, match=r"toml: stratum.port\[0\].scheme is the pool's own: leave it out"):
        config(stratum={"port": [port("pplns")]})
    with pytest.raises(ConfigError, match=r"stratum.port.0.scheme"):
        config(stratum={"port": [port("lottery")]})


def test_ports_with_terms_of_their_own_say_so() -> None:
    made = config(stratum={"port": [port("solo")]}, rewards={"port": {"solo": {"fee_bps": 50}}})
    usual, solo = miner_ports(made)
    assert usual.terms == ""
    assert solo.terms == "solo: a block is its finder's alone, and until then there is nothing; fee 0.5 %"


@pytest.mark.parametrize("scheme", Scheme)
def test_schemes_that_can_be_hopped_say_so_and_no_other_does(scheme: Scheme) -> None:
    words = policy_words(Policy(Fraction(5, 2), 100, scheme))
    assert ("hopping" in words and "gains at the others' cost" in words) == bool(
        warnings(config(rewards={"scheme": scheme, "reserve_sat": 1}))
    )
