"""[lightning], [payouts] and [onchain]: how what miners are owed leaves."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field, model_validator

from pool.config.fields import ConfigPath, OptionalSecret, Section

LIGHTNING_KEYS: Mapping[str, tuple[str, ...]] = {
    "electrum": ("user", "password"),
    "lnd": ("url", "macaroon_file"),
    "cln": ("url", "rune"),
    "phoenixd": ("url", "password"),
}
"""What each kind of Lightning node must be given."""


class LightningConfig(Section):
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


Ceiling = Annotated[int, Field(ge=1)] | Literal["unlimited"]


class PayoutsConfig(Section):
    """[payouts]: how much may leave over Lightning, who bears its fees, and who is paid unasked."""

    account_day_sat: Ceiling = 5_000_000
    day_sat: Ceiling = 20_000_000
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
    balance_notify: bool = False
    tor_proxy: str | None = Field(default=None, pattern=r"^[^\s:]+:[0-9]{1,5}$")


class OnchainConfig(Section):
    """[onchain]: the node's wallet that coinbases pay to and batches leave from."""

    wallet: str = Field(default="sluice", pattern=r"^[\w.-]+$")
    threshold_sat: int = Field(default=1_000_000, ge=20_000)
    confirmations: int = Field(default=6, ge=1)
    fee_rate_sat_vb: Decimal | None = Field(default=None, gt=0)
    interval_s: float = Field(default=3600.0, gt=0)
    address_stock: int = Field(default=100, ge=2, le=1000)
    treasury_bps: int = Field(default=0, ge=0, le=10_000)
    treasury_gap: int = Field(default=20, ge=1, le=1000)
