"""``sluice.toml``: every key with its type, default and meaning; unknown keys are errors."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Collection, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from pool.errors import ConfigError
from pool.rewards.policy import AT_ONCE, Scheme

LAST_FRONT_ID = 255
"""A front id is the first byte of every extranonce1."""
Network = Literal["mainnet", "testnet4", "signet", "regtest"]


def _from_file(path: Path, info: ValidationInfo) -> Path:
    """A path as the configuration file means it: relative to itself."""
    base = (info.context or {}).get("directory")
    return path if base is None else Path(base) / path


def _read_secret(value: object, info: ValidationInfo) -> object:
    """Turn ``{ file = … }`` or ``{ env = … }`` into the text it names; leave other values alone."""
    if not isinstance(value, dict):
        return value
    match value:
        case {"file": str(path), **rest} if not rest:
            try:
                return _from_file(Path(path), info).read_text(encoding="utf-8").strip()
            except OSError as error:
                raise ValueError(f"the secret's file cannot be read: {error.strerror}") from error
        case {"env": str(name), **rest} if not rest:
            if name not in os.environ:
                raise ValueError(f"the environment has no {name}: set it, or name a file")
            return os.environ[name]
    raise ValueError('a secret is a string, { file = "…" } or { env = "…" }')


def _withhold(section: object, info: ValidationInfo) -> object:
    """Leave a secret unread that a process does not need, and may have no right to read."""
    wanted = (info.context or {}).get("secrets")
    if wanted is None or info.field_name in wanted or not isinstance(section, dict):
        return section
    return {**section, **{key: "" for key in ("password", "rune") if isinstance(section.get(key), dict)}}


def _wanted_to_reconnect(value: str | None, info: ValidationInfo) -> str | None:
    if value is None and info.data.get("when_lost") == "reconnect":
        raise ValueError('when_lost = "reconnect" needs the host:port that the miners are sent to')
    return value


ConfigPath = Annotated[Path, AfterValidator(_from_file)]
Secret = Annotated[str, BeforeValidator(_read_secret), Field(repr=False)]
OptionalSecret = Annotated[str | None, BeforeValidator(_read_secret)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class NodeUser(_Section):
    """An RPC user of the node, with no more rights than its role needs (rpcauth + rpcwhitelist)."""

    user: str = Field(pattern=r"^[^:@/%\s]+$")
    password: Secret = Field(repr=False)


OwnUser = Annotated[NodeUser | None, BeforeValidator(_withhold)]


class NodeLink(_Section):
    """[[node.also]]: one more bitcoind; templates come from it when the first is not well."""

    url: str = "http://127.0.0.1:8332"
    cookie_file: ConfigPath | None = None
    front: OwnUser = None
    book: OwnUser = None
    payer: OwnUser = None
    zmq: str | None = Field(default=None, pattern=r"^$|^(tcp|ipc)://\S+$")


class NodeConfig(NodeLink):
    """[node]: the bitcoind that templates come from and blocks go to, and what stands beside it."""

    network: Network = "mainnet"
    poll_s: float = Field(default=1.0, gt=0)
    also: list[NodeLink] = []
    silent_s: float = Field(default=60.0, gt=0)
    failover_s: float = Field(default=5.0, gt=0)
    return_s: float = Field(default=30.0, ge=0)
    empty_after_ms: Annotated[int, Field(ge=0)] | Literal["never"] = 500
    when_lost: Literal["idle", "reconnect"] = "idle"
    reconnect_to: Annotated[str | None, AfterValidator(_wanted_to_reconnect)] = Field(
        default=None, pattern=r"^[^\s:/]+:\d{1,5}$"
    )

    def elsewhere(self) -> tuple[str, int] | None:
        """Host and port that miners are sent to when there is no work; None: nowhere."""
        if self.when_lost == "idle" or self.reconnect_to is None:
            return None
        host, _, port = self.reconnect_to.partition(":")
        return host, int(port)

    def empty_after_s(self) -> float | None:
        """After how long a new tip gets a job without transactions; None: never."""
        return None if self.empty_after_ms == "never" else self.empty_after_ms / 1000

    def links(self) -> list[NodeLink]:
        """Every node, in the order in which they are preferred."""
        return [self, *self.also]


class PortConfig(_Section):
    """[[stratum.port]]: one more port for miners; what is not given is as in [stratum]."""

    endpoint: str
    start_difficulty: Decimal | None = Field(default=None, gt=0)
    minimum_difficulty: Decimal | None = Field(default=None, gt=0)
    vardiff: bool | None = None
    public_url: str | None = Field(
        default=None, pattern=r"^stratum\+(tcp|ssl)://(\[[0-9a-fA-F:.]+\]|[^\s/:@\[\]]+):\d{1,5}$"
    )
    purpose: str = Field(default="", max_length=80)
    scheme: Scheme | None = None


class StratumConfig(_Section):
    """[stratum]: the miners' ports."""

    listen: list[str] = ["tcp:3333"]
    port: list[PortConfig] = []
    tag: str = Field(default="/sluice/", max_length=40, pattern=r"^[\x20-\x7e]*$")
    front_id: int = Field(default=0, ge=0, le=LAST_FRONT_ID)
    processes: int = Field(default=1, ge=1, le=32)
    start_difficulty: Decimal = Field(default=Decimal(10_000), gt=0)
    minimum_difficulty: Decimal = Field(default=Decimal("0.001"), gt=0)
    shares_per_minute: float = Field(default=12.0, gt=0)
    vardiff: bool = True
    handshake_timeout_s: float = Field(default=60.0, gt=0)
    idle_timeout_s: float = Field(default=900.0, gt=0)
    flush_ms: float = Field(default=5.0, ge=0)
    job_interval_s: float = Field(default=30.0, gt=0)
    max_connections: int = Field(default=10_000, ge=1)
    max_connections_per_address: int = Field(default=2_000, ge=1)

    @model_validator(mode="after")
    def _ids_are_bytes(self) -> StratumConfig:
        last = self.front_id + self.processes - 1
        if last > LAST_FRONT_ID:
            raise ValueError(
                f"front_id = {self.front_id} and processes = {self.processes} need front ids up to {last},"
                f" and they end at {LAST_FRONT_ID}: lower one of the two"
            )
        return self

    def ports(self) -> list[tuple[str, PortConfig]]:
        """Every port with the key that it stands under, for error messages."""
        plain = [PortConfig(endpoint=text) for text in self.listen]
        named = [(f"stratum.listen[{number}]", port) for number, port in enumerate(plain)]
        return named + [(f"stratum.port[{number}].endpoint", port) for number, port in enumerate(self.port)]


class PotTerms(_Section):
    """[rewards.port.<scheme>]: the terms of ports with that scheme; what is not given is as in [rewards]."""

    window: Decimal | None = Field(default=None, gt=0)
    fee_bps: int | None = Field(default=None, ge=0, le=10_000)
    reserve_sat: int | None = Field(default=None, ge=1)


class RewardsConfig(_Section):
    """[rewards]: how a block is divided."""

    scheme: Scheme = Scheme.PPLNS
    port: dict[Scheme, PotTerms] = {}
    reserve_sat: int | None = Field(default=None, ge=1)
    window: Decimal = Field(default=Decimal(8), gt=0)
    fee_bps: int = Field(default=100, ge=0, le=10_000)
    maturity_confirmations: int = Field(default=100, ge=1)


LIGHTNING_KEYS: Mapping[str, tuple[str, ...]] = {
    "electrum": ("user", "password"),
    "lnd": ("url", "macaroon_file"),
    "cln": ("url", "rune"),
    "phoenixd": ("url", "password"),
}
"""What each kind of Lightning node must be given."""


class LightningConfig(_Section):
    """[lightning]: the node that pays claims; absent means no Lightning payouts."""

    kind: Literal["electrum", "lnd", "cln", "phoenixd"] = "electrum"
    url: str = Field(default="http://127.0.0.1:7777", pattern=r"^https?://[^\s/]+/?$")
    user: str | None = None
    password: OptionalSecret = Field(default=None, repr=False)
    macaroon_file: ConfigPath | None = None
    rune: OptionalSecret = Field(default=None, repr=False)
    tls_cert: ConfigPath | None = None
    minimum_sat: int = Field(default=10, ge=1)
    maximum_sat: int = Field(default=1_000_000, ge=1)
    max_fee_ppm: int = Field(default=10_000, ge=0, le=500_000)
    max_fee_base_sat: int = Field(default=5, ge=0)
    pay_timeout_s: float = Field(default=60.0, gt=0)
    open_per_account: int = Field(default=3, ge=1)
    open_in_all: int = Field(default=20, ge=1)

    @model_validator(mode="after")
    def _has_what_its_kind_needs(self) -> LightningConfig:
        needed = LIGHTNING_KEYS[self.kind]
        given = self.model_fields_set
        for key in needed:
            if key not in given or getattr(self, key) is None:
                raise ValueError(f'kind = "{self.kind}" needs {key} (docs/lightning-nodes.md)')
        for key in ("user", "password", "macaroon_file", "rune"):
            if key in given and key not in needed:
                raise ValueError(f'kind = "{self.kind}" has no use for {key}: is the kind right?')
        if self.kind == "phoenixd" and (self.max_fee_base_sat < 4 or self.max_fee_ppm < 4_000):
            raise ValueError(
                "phoenixd takes 4 sat and 4000 ppm: max_fee_base_sat and max_fee_ppm must allow it"
            )
        return self


class PayoutsConfig(_Section):
    """[payouts]: how much may leave over Lightning, who bears its fees, and who is paid unasked."""

    account_day_sat: int | None = Field(default=None, ge=1)
    day_sat: int | None = Field(default=None, ge=1)
    in_flight_sat: int | None = Field(default=None, ge=1)
    approve_above_sat: int | None = Field(default=None, ge=1)
    hour_free_sat: int = Field(default=10_000_000, ge=1)
    hour_times: int = Field(default=10, ge=1)
    fee_alarm_ppm: int = Field(default=20_000, ge=1)
    drift_sat: int = Field(default=100_000, ge=1)
    float_most_sat: int | None = Field(default=None, ge=1)
    unknown_after_s: int = Field(default=3600, ge=60)
    fees_by: Literal["miner", "pool"] = "miner"
    push_above_sat: int = Field(default=1_000, ge=1)
    push_tries: int = Field(default=5, ge=1, le=100)
    tor_proxy: str | None = Field(default=None, pattern=r"^[^\s:]+:[0-9]{1,5}$")


class OnchainConfig(_Section):
    """[onchain]: the node's wallet that coinbases pay to and batches leave from."""

    wallet: str = Field(default="sluice", pattern=r"^[\w.-]+$")
    threshold_sat: int = Field(default=1_000_000, ge=20_000)
    confirmations: int = Field(default=6, ge=1)
    fee_rate_sat_vb: Decimal | None = Field(default=None, gt=0)
    interval_s: float = Field(default=3600.0, gt=0)
    address_stock: int = Field(default=100, ge=2, le=1000)
    treasury_bps: int = Field(default=0, ge=0, le=10_000)
    treasury_gap: int = Field(default=20, ge=1, le=1000)


class WebConfig(_Section):
    """[web]: the site."""

    listen: list[str] = ["tcp:8080:interface=127.0.0.1"]
    public_url: str = Field(default="https://pool.example", pattern=r"^(https://|http://[a-z2-7]{56}\.onion)")
    name: str = Field(default="Sluice", max_length=60)
    link_minutes: int = Field(default=10, ge=1, le=1440)
    change_wait_hours: int = Field(default=24, ge=0, le=720)


class MetricsConfig(_Section):
    """[metrics]: what /metrics of the web role shows."""

    enabled: bool = True


class StoreConfig(_Section):
    """[store]: where the databases, block files and the server key live."""

    directory: ConfigPath = Path("data")


class Config(_Section):
    """The whole of sluice.toml."""

    node: NodeConfig = NodeConfig()
    stratum: StratumConfig = StratumConfig()
    rewards: RewardsConfig = RewardsConfig()
    lightning: Annotated[LightningConfig | None, BeforeValidator(_withhold)] = None
    payouts: PayoutsConfig = PayoutsConfig()
    onchain: OnchainConfig = OnchainConfig()
    web: WebConfig = WebConfig()
    metrics: MetricsConfig = MetricsConfig()
    store: StoreConfig = StoreConfig()

    @model_validator(mode="after")
    def _ports_have_schemes_of_their_own(self) -> Config:
        for number, port in enumerate(self.stratum.port):
            if port.scheme is self.rewards.scheme:
                raise ValueError(f"stratum.port[{number}].scheme is the pool's own: leave it out")
        rewards = self.rewards
        at_once = AT_ONCE & {rewards.scheme, *(port.scheme for port in self.stratum.port)}
        for scheme in at_once:
            if (rewards.port.get(scheme, PotTerms()).reserve_sat or rewards.reserve_sat) is None:
                raise ValueError(
                    f'rewards.reserve_sat is missing: scheme = "{scheme}" pays shares before blocks are'
                    " found, so say how much of your own money stands behind it"
                )
        if len(at_once) > 1:
            raise ValueError('rewards.scheme and ports: choose one of "pps" and "pps+", there is one reserve')
        return self


def parse(
    document: Mapping[str, Any],
    where: str,
    directory: Path | None = None,
    secrets: Collection[str] | None = None,
) -> Config:
    """Validate a parsed document; relative paths in it are relative to the directory.

    Args:
        document: as TOML gives it.
        where: what errors call it.
        directory: of the file.
        secrets: whose secrets are read: ``front``, ``book``, ``payer`` (of the node), ``lightning``; None
            means all.  The others are empty strings, and it is no error when they cannot be had.

    Raises:
        ConfigError: one line that names the first wrong key and what is wrong with it, never its value.
    """
    try:
        # the store's default path is relative to the file too, so the section is there to be validated
        context = {"directory": directory, "secrets": secrets}
        return Config.model_validate({"store": {}, **document}, context=context)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        what = "there is no such key" if first["type"] == "extra_forbidden" else _plain(first["msg"])
        # what is wrong between sections has no key of its own, and names those that it is about
        raise ConfigError(": ".join(part for part in (where, key, what) if part)) from None


def _plain(message: str) -> str:
    return re.sub(r"^(Value error, |Input )", "", message)


def load(path: Path, secrets: Collection[str] | None = None) -> Config:
    """Read and validate a configuration file; relative paths in it are relative to the file.

    Args:
        path: the file.
        secrets: whose secrets are read, see ``parse``.

    Raises:
        ConfigError: unreadable, not TOML, or not valid; one line with the mend.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror}): make one with `sluice init`") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from error
    return parse(document, str(path), path.parent, secrets)
