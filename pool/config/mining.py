"""[node], [stratum] and [rewards]: where work comes from, who does it, and how its yield is divided."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, model_validator

from pool.config.fields import ConfigPath, Secret, Section, withhold
from pool.rewards.policy import Scheme

LAST_FRONT_ID = 255
"""A front id is the first byte of every extranonce1."""
Network = Literal["mainnet", "testnet4", "signet", "regtest"]


def _wanted_to_reconnect(value: str | None, info: ValidationInfo) -> str | None:
    if value is None and info.data.get("when_lost") == "reconnect":
        raise ValueError('when_lost = "reconnect" needs the host:port that the miners are sent to')
    return value


class NodeUser(Section):
    """An RPC user of the node, with no more rights than its role needs (rpcauth + rpcwhitelist)."""

    user: str = Field(pattern=r"^[^:@/%\s]+$")
    password: Secret = Field(repr=False)


OwnUser = Annotated[NodeUser | None, BeforeValidator(withhold)]


class NodeLink(Section):
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
    also: list[NodeLink] = Field(default=[])
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


class PortConfig(Section):
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


class StratumConfig(Section):
    """[stratum]: the miners' ports."""

    listen: list[str] = Field(default=["tcp:3333"])
    port: list[PortConfig] = Field(default=[])
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


class PotTerms(Section):
    """[rewards.port.<scheme>]: the terms of ports with that scheme; what is not given is as in [rewards]."""

    window: Decimal | None = Field(default=None, gt=0)
    fee_bps: int | None = Field(default=None, ge=0, le=10_000)
    reserve_sat: int | None = Field(default=None, ge=1)


class RewardsConfig(Section):
    """[rewards]: how a block is divided."""

    scheme: Scheme = Scheme.PPLNS
    port: dict[Scheme, PotTerms] = Field(default={})
    reserve_sat: int | None = Field(default=None, ge=1)
    window: Decimal = Field(default=Decimal(8), gt=0)
    fee_bps: int = Field(default=100, ge=0, le=10_000)
    maturity_confirmations: int = Field(default=100, ge=1)
    commit: bool = True
    credit_confirmations: int | None = Field(default=None, ge=1)
    credit_cap_sat: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _early_credit_is_before_maturity_and_has_a_cap(self) -> RewardsConfig:
        early, cap = self.credit_confirmations, self.credit_cap_sat
        if early is None and cap is not None:
            raise ValueError(
                "credit_cap_sat caps nothing without credit_confirmations: give both, or neither"
            )
        if early is None:
            return self
        if cap is None:
            raise ValueError(
                "credit_confirmations needs credit_cap_sat: how much of your own money may be out for blocks"
                " that have yet to mature, and is lost if they do not"
            )
        if early >= self.maturity_confirmations:
            raise ValueError(
                f"credit_confirmations = {early} is not before maturity: give less than"
                f" maturity_confirmations = {self.maturity_confirmations}, or leave it out"
            )
        return self
