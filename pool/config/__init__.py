"""``sluice.toml``: every key with its type, default and meaning; unknown keys are errors."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidationError, model_validator

from pool.config.fields import ConfigPath, Section, withhold
from pool.config.mining import (
    LAST_FRONT_ID,
    Network,
    NodeConfig,
    NodeLink,
    NodeUser,
    PortConfig,
    PotTerms,
    RewardsConfig,
    StratumConfig,
)
from pool.config.paying import LIGHTNING_KEYS, LightningConfig, OnchainConfig, PayoutsConfig
from pool.errors import ConfigError
from pool.rewards.policy import AT_ONCE

__all__ = [
    "LAST_FRONT_ID",
    "LIGHTNING_KEYS",
    "Config",
    "LightningConfig",
    "MetricsConfig",
    "Network",
    "NodeConfig",
    "NodeLink",
    "NodeUser",
    "OnchainConfig",
    "PayoutsConfig",
    "PortConfig",
    "PotTerms",
    "RewardsConfig",
    "StoreConfig",
    "StratumConfig",
    "WebConfig",
    "load",
    "parse",
]

COINBASE_MATURITY = 100
"""Consensus: confirmations before a coinbase can be spent."""


class WebConfig(Section):
    """[web]: the site."""

    listen: list[str] = Field(default=["tcp:8080:interface=127.0.0.1"])
    public_url: str = Field(default="https://pool.example", pattern=r"^(https://|http://[a-z2-7]{56}\.onion)")
    name: str = Field(default="Sluice", max_length=60)
    link_minutes: int = Field(default=10, ge=1, le=1440)
    change_wait_hours: int = Field(default=24, ge=0, le=720)


class MetricsConfig(Section):
    """[metrics]: what /metrics of the web role shows."""

    enabled: bool = True


class StoreConfig(Section):
    """[store]: where the databases, block files and the server key live."""

    directory: ConfigPath = Path("data")
    archive_after_days: int | None = Field(default=None, ge=1)


class Config(Section):
    """The whole of sluice.toml."""

    node: NodeConfig = NodeConfig()
    stratum: StratumConfig = StratumConfig()
    rewards: RewardsConfig = RewardsConfig()
    lightning: Annotated[LightningConfig | None, BeforeValidator(withhold)] = None
    payouts: PayoutsConfig = PayoutsConfig()
    onchain: OnchainConfig = OnchainConfig()
    web: WebConfig = WebConfig()
    metrics: MetricsConfig = MetricsConfig()
    store: StoreConfig = StoreConfig()

    @model_validator(mode="after")
    def _coinbases_mature(self) -> Config:
        confirmations = self.rewards.maturity_confirmations
        if self.node.network != "regtest" and confirmations < COINBASE_MATURITY:
            raise ValueError(
                f"rewards.maturity_confirmations = {confirmations}: nobody can spend a coinbase before"
                f" {COINBASE_MATURITY}; to lend miners your own money until then, see credit_confirmations"
            )
        return self

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
            raise ValueError(
                'rewards.scheme and ports: choose one of "pps", "pps+" and "fpps", there is one reserve'
            )
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
