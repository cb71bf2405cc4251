"""sluice.toml: every wrong key is named in one line, and secrets never show."""

import re
from importlib.resources import files
from pathlib import Path

import pytest

from pool.config import Config, load, parse
from pool.errors import ConfigError


def complaint(text: str, tmp_path: Path) -> str:
    path = tmp_path / "sluice.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("[node]\nurll = 'x'", "node.urll: there is no such key"),
        ("[nodes]", "nodes: there is no such key"),
        ("[rewards]\nfee_bps = 10001", "rewards.fee_bps"),
        ("[rewards]\nwindow = 0", "rewards.window"),
        ("[stratum]\nfront_id = 256", "stratum.front_id"),
        ("[[stratum.port]]\nstart_difficulty = 1", "stratum.port.0.endpoint"),
        ("[web]\npublic_url = 'http://pool.example'", "web.public_url"),
        ("[node]\nnetwork = 'mainet'", "node.network"),
        ("[onchain]\nthreshold_sat = 1", "onchain.threshold_sat"),
        ("[node", "not valid TOML"),
        ("[lightning]\nuser = 'x'", 'kind = "electrum" needs password'),
        ("[lightning]\nkind = 'lnd'\nmacaroon_file = 'x'", 'kind = "lnd" needs url'),
        ("[lightning]\nkind = 'cln'\nurl = 'https://x:3010'\nrune = 'x'\nuser = 'y'", "no use for user"),
        ("[lightning]\nkind = 'phoenixd'\nurl = 'http://x'\npassword = 'y'\nmax_fee_ppm = 3999", "4000 ppm"),
        ("[lightning]\nkind = 'eclair'", "lightning.kind"),
    ],
)
def test_a_mistake_is_named(text: str, names: str, tmp_path: Path) -> None:
    assert names in complaint(text, tmp_path)


def test_a_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="sluice init"):
        load(tmp_path / "none.toml")


def test_a_secret_comes_from_a_file_or_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = tmp_path / "password"
    secret.write_text("from-file\n", encoding="utf-8")
    monkeypatch.setenv("SLUICE_TEST_PASSWORD", "from-env")
    document = {
        "node": {
            "front": {"user": "f", "password": {"file": str(secret)}},
            "book": {"user": "b", "password": {"env": "SLUICE_TEST_PASSWORD"}},
        }
    }
    node = parse(document, "test").node
    assert node.front is not None
    assert node.book is not None
    assert (node.front.password, node.book.password) == ("from-file", "from-env")
    assert "from-file" not in repr(node)
    assert "from-env" not in repr(node)


def test_the_default_store_is_beside_the_file(tmp_path: Path) -> None:
    path = tmp_path / "sluice.toml"
    path.write_text("", encoding="utf-8")
    assert load(path).store.directory == tmp_path / "data"


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hidden", encoding="utf-8")
    path = tmp_path / "sluice.toml"
    text = """
        node = { cookie_file = ".cookie", front = { user = "f", password = { file = "secret" } } }
        store = { directory = "books" }
    """
    path.write_text(text, encoding="utf-8")
    config = load(path)
    assert config.node.cookie_file == tmp_path / ".cookie"
    assert config.store.directory == tmp_path / "books"
    assert config.node.front is not None
    assert config.node.front.password == "hidden"


@pytest.mark.parametrize(
    "password", [{"env": "SLUICE_NO_SUCH_VARIABLE"}, {"file": "/no/such/file"}, {"file": "a", "env": "b"}, 7]
)
def test_a_secret_that_cannot_be_had_is_an_error_that_does_not_show_it(password: object) -> None:
    with pytest.raises(ConfigError, match=r"node\.front\.password"):
        parse({"node": {"front": {"user": "f", "password": password}}}, "test")


def test_a_wrong_value_is_never_shown_since_it_may_be_a_secret() -> None:
    with pytest.raises(ConfigError) as caught:
        parse({"node": {"front": {"user": "hunter2:x", "password": "p"}}}, "test")
    assert "hunter2" not in str(caught.value)


def test_the_example_is_valid_and_shows_the_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for role in ("FRONT", "BOOK", "PAYER"):
        monkeypatch.setenv(f"SLUICE_{role}_PASSWORD", "x")
    monkeypatch.setenv("SLUICE_LIGHTNING_PASSWORD", "x")
    text = files("pool").joinpath("example.toml").read_text(encoding="utf-8")
    path = tmp_path / "sluice.toml"
    path.write_text(text, encoding="utf-8")
    plain = load(path)
    assert plain.store.directory == tmp_path / "data"
    without_default = r"^# (macaroon_file|rune|reserve_sat|credit_\w+|archive_after_days) = .*"
    others = re.compile(without_default, re.MULTILINE)
    uncommented = re.sub(r"^# (\[\w+\]|\w+ = )", r"\1", others.sub("", text), flags=re.MULTILINE)
    path.write_text(uncommented, encoding="utf-8")
    spelled_out = load(path)
    defaults = Config()
    assert spelled_out.stratum == defaults.stratum
    assert spelled_out.rewards == defaults.rewards
    assert spelled_out.metrics == defaults.metrics
    assert spelled_out.lightning is not None
    assert spelled_out.payouts.day_sat == defaults.payouts.day_sat
    assert spelled_out.payouts.account_day_sat == defaults.payouts.account_day_sat
    assert spelled_out.onchain.threshold_sat == defaults.onchain.threshold_sat


def test_ports_are_told_apart_by_the_key_they_stand_under() -> None:
    document = {"listen": ["tcp:1", "ssl:2"], "port": [{"endpoint": "tcp:3", "start_difficulty": 500000}]}
    ports = parse({"stratum": document}, "test").stratum.ports()
    assert [(key, port.endpoint) for key, port in ports] == [
        ("stratum.listen[0]", "tcp:1"),
        ("stratum.listen[1]", "ssl:2"),
        ("stratum.port[0].endpoint", "tcp:3"),
    ]
    assert [port.start_difficulty for _, port in ports] == [None, None, 500000]


def test_what_consensus_does_not_let_anyone_spend_is_not_called_mature() -> None:
    rewards = {"maturity_confirmations": 99}
    with pytest.raises(ConfigError, match="before 100; to lend miners your own money until then"):
        parse({"rewards": rewards}, "test")
    assert (
        parse({"rewards": rewards, "node": {"network": "regtest"}}, "test").rewards.maturity_confirmations
        == 99
    )
