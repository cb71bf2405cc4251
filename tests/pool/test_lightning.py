"""The node that [lightning] names, of every kind made, checked, and its credential held against the need."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from payouts.lightning import cln, lnd
from payouts.lightning.cln import ClnNode
from payouts.lightning.electrum import ElectrumNode
from payouts.lightning.lnd import LndNode
from payouts.lightning.phoenixd import PhoenixdNode
from payouts.money import Msat
from payouts.values import PaySettled
from pool import check
from pool.config import Config, LightningConfig, parse
from pool.errors import ConfigError
from pool.lightning import credential_objection, lightning_node
from tests.payouts.invoices import invoice, preimage
from tests.payouts.lightning.electrum_daemon import PASSWORD as RPC_PASSWORD
from tests.payouts.lightning.electrum_daemon import Electrum
from tests.payouts.lightning.simulator import HASH, Simulator, listening
from tests.payouts.lightning.test_cln import RUNE, Cln
from tests.payouts.lightning.test_lnd import MACAROON, Lnd
from tests.payouts.lightning.test_macaroon import bake
from tests.payouts.lightning.test_phoenixd import LIMITED, PASSWORD, Phoenixd
from tests.payouts.lightning.test_rune import methods, rune
from tests.regtest.payer_reactor import reactor, rest, run


@pytest.fixture(scope="module", autouse=True)
def _threads_end() -> Iterator[None]:
    yield
    rest()


def section(**keys: Any) -> LightningConfig:
    return LightningConfig.model_validate(keys)


def lnd_section(directory: Path, macaroon: bytes = bytes.fromhex(MACAROON), **keys: Any) -> LightningConfig:
    path = directory / "pay.macaroon"
    path.write_bytes(macaroon)
    return section(**{"kind": "lnd", "url": "https://localhost:8080", "macaroon_file": path, **keys})


def test_every_kind_has_its_node(tmp_path: Path) -> None:
    url = "http://127.0.0.1:1"
    sections = {
        ElectrumNode: section(user="u", password="p"),
        LndNode: lnd_section(tmp_path),
        ClnNode: section(kind="cln", url=url, rune="r"),
        PhoenixdNode: section(kind="phoenixd", url=url, password="p"),
    }
    for kind, config in sections.items():
        assert type(lightning_node(config, reactor)) is kind


SIMULATORS: list[tuple[type[Simulator], dict[str, Any]]] = [
    (Lnd, {"kind": "lnd"}),
    (Cln, {"kind": "cln", "rune": RUNE}),
    (Phoenixd, {"kind": "phoenixd", "password": PASSWORD}),
    (Electrum, {"user": "user", "password": RPC_PASSWORD}),
]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize(("simulated", "keys"), SIMULATORS)
def test_a_node_made_from_its_section_pays_by_number_or_name(
    simulated: type[Simulator], keys: dict[str, Any], host: str, tmp_path: Path
) -> None:
    port, url = listening(simulated())
    url = url.replace("127.0.0.1", host)
    config = lnd_section(tmp_path, url=url) if keys.get("kind") == "lnd" else section(url=url, **keys)
    outcome = run(lightning_node(config, reactor).pay(invoice(1), HASH, Msat(15_000)))
    assert outcome == PaySettled(preimage(1), Msat(3))
    port.stopListening()


def test_files_that_cannot_be_used_are_named_with_their_key(tmp_path: Path) -> None:
    nothing = tmp_path / "nothing"
    missing = section(kind="lnd", url="https://localhost:8080", macaroon_file=nothing)
    with pytest.raises(ConfigError, match=r"lightning\.macaroon_file: .*nothing cannot be read"):
        lightning_node(missing, reactor)
    with pytest.raises(ConfigError, match=r"lightning\.tls_cert: .*nothing cannot be read"):
        lightning_node(lnd_section(tmp_path, tls_cert=nothing), reactor)
    nothing.write_text("no certificate", encoding="utf-8")
    with pytest.raises(ConfigError, match="no certificate in PEM form"):
        lightning_node(lnd_section(tmp_path, tls_cert=nothing), reactor)


def test_secrets_are_in_no_repr() -> None:
    shown = repr(section(kind="cln", url="http://x", rune="hidden rune"))
    shown += repr(section(kind="phoenixd", url="http://x", password="hidden word"))
    assert "hidden" not in shown


def test_a_rune_is_not_read_by_roles_that_do_not_pay() -> None:
    keys = {"kind": "cln", "url": "http://x", "rune": {"file": "/no/such/file"}}
    config = parse({"lightning": keys}, "sluice.toml", secrets=("front",))
    assert config.lightning is not None
    assert config.lightning.rune == ""
    with pytest.raises(ConfigError, match=r"lightning\.rune"):
        parse({"lightning": keys}, "sluice.toml")


def objection(config: LightningConfig) -> str | None:
    return run(credential_objection(config, lightning_node(config, reactor)))


NARROW = ("uri", lnd.NEEDS)


@pytest.mark.parametrize(
    ("macaroon", "words"),
    [
        (bake([NARROW, ("onchain", ["write"])]), "more than it must (onchain:write)"),
        (bake([("uri", lnd.NEEDS[1:])]), "cannot do what it must (/lnrpc.Lightning/ChannelBalance)"),
        (b"0201036c6e64", "the binary file, not its hex"),
    ],
)
def test_a_macaroon_for_more_or_less_than_paying_is_objected_to(
    macaroon: bytes, words: str, tmp_path: Path
) -> None:
    told = objection(lnd_section(tmp_path, macaroon))
    assert told is not None
    assert words in told


@pytest.mark.parametrize(
    "macaroon",
    [
        bake([NARROW]),
        bake([NARROW, ("offchain", ["read", "write"])], ["lnd-custom account 64a1b2c3d4e5f607"]),
    ],
)
def test_a_narrow_macaroon_and_one_with_a_budget_are_in_order(macaroon: bytes, tmp_path: Path) -> None:
    assert objection(lnd_section(tmp_path, macaroon)) is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (rune("=1"), "anything at all"),
        (rune(f"=1&{methods(*cln.NEEDS, 'withdraw')}"), "more than it must (withdraw)"),
        (rune(f"=1&{methods('xpay')}"), "cannot do what it must (decode, getinfo, listpays and 1 more)"),
        ("a password", "is no rune"),
    ],
)
def test_a_rune_for_more_or_less_than_paying_is_objected_to(text: str, words: str) -> None:
    told = objection(section(kind="cln", url="http://127.0.0.1:1", rune=text))
    assert told is not None
    assert words in told
    assert text not in told


def test_a_narrow_rune_is_in_order_and_electrum_has_nothing_to_object_to() -> None:
    narrow = rune(f"=1&{methods(*cln.NEEDS)}&rate=60")
    assert objection(section(kind="cln", url="http://127.0.0.1:1", rune=narrow)) is None
    assert objection(section(user="u", password="p")) is None


def test_the_manuals_lines_make_credentials_that_are_exactly_what_paying_takes() -> None:
    manual = (Path(__file__).parents[2] / "docs" / "lightning-nodes.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r" uri:(/[\w.]+/\w+)", manual)) == sorted(lnd.NEEDS)
    (restrictions,) = re.findall(r"createrune restrictions='(.*)'$", manual, re.MULTILINE)
    (alternatives,) = json.loads(restrictions)
    assert sorted(alternatives) == sorted(f"method={name}" for name in cln.NEEDS)


def test_an_account_can_send_its_balance(tmp_path: Path) -> None:
    simulated = Lnd()
    port, url = listening(simulated)
    account = bake([NARROW], ["lnd-custom account 64a1b2c3d4e5f607"])
    simulated.macaroon = account.hex()
    node = lightning_node(lnd_section(tmp_path, account, url=url), reactor)
    assert run(node.outbound()) == simulated.msat
    assert not simulated.asked_for("v1/channels")
    port.stopListening()


def test_phoenixds_limited_password_cannot_pay() -> None:
    port, url = listening(Phoenixd())
    told = objection(section(kind="phoenixd", url=url, password=LIMITED))
    assert told is not None
    assert "http-password-limited-access" in told
    assert objection(section(kind="phoenixd", url=url, password=PASSWORD)) is None
    port.stopListening()


# ------------------------------------------------------------------------------------------ sluice check


def config_of(url: str, network: str = "regtest") -> Config:
    lightning = {"kind": "cln", "url": url, "rune": RUNE}
    return parse({"node": {"network": network}, "lightning": lightning}, "sluice.toml")


def tried(config: Config) -> check.Result:
    return run(check._tried("lightning", check._lightning(config, reactor)))


def test_the_check_names_the_node_its_network_and_what_it_can_send() -> None:
    port, url = listening(Cln())
    result = tried(config_of(url))
    assert result.ok
    assert "cln node 02ababababababab… on regtest can send 990000 sat" in result.says
    port.stopListening()


def test_the_check_finds_a_lightning_node_of_another_network() -> None:
    port, url = listening(Cln(network="bitcoin"))
    result = tried(config_of(url))
    assert not result.ok
    assert "is on mainnet, node.network says regtest" in result.says
    port.stopListening()


def test_the_check_of_a_node_that_is_not_there_says_where_to_look() -> None:
    result = tried(config_of("http://127.0.0.1:1"))
    assert not result.ok
    assert "docs/lightning-nodes.md" in result.says
    assert RUNE not in result.says


def test_the_check_objects_to_a_rune_that_can_do_anything() -> None:
    keys = {"kind": "cln", "url": "http://127.0.0.1:1", "rune": rune("=1")}
    config = parse({"lightning": keys}, "sluice.toml")
    result = run(check._tried("credential", check._lightning_credential(config, reactor)))
    assert not result.ok
    assert "anything at all" in result.says
