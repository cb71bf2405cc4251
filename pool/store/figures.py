"""What reads of the store answer: frozen records for the site, the metrics and the command line."""

from __future__ import annotations

from typing import Final

import attrs

from payouts.money import Msat
from pool.store.activity import Hashrate
from pool.store.archives import Extent
from stratum.options import POOL
from stratum.units import Target, difficulty_from_target

_NOTHING: Final = Msat(0)


@attrs.frozen
class BestShare:
    """An accepted share that beats all others.  Attributes: its header's hash, display-order hex."""

    account: str
    worker: str
    hash: str
    time_ms: int

    @property
    def target(self) -> Target:
        """The hardest that it meets."""
        return Target(int(self.hash, 16))

    @property
    def difficulty(self) -> float:
        """The same as a difficulty."""
        return float(difficulty_from_target(self.target))


@attrs.frozen
class Bests:
    """Of a machine, an account or the pool: its best share ever, and since the pool's newest block."""

    ever: BestShare | None = None
    round: BestShare | None = None


_NO_BEST: Final = Bests()
_NO_LOG: Final = Extent()


@attrs.frozen
class PoolStats:
    """The pool at a glance.

    Attributes:
        hashrate: over the last ten minutes.
        hashrate_hour: over the last hour.
        accounts: how many found a share within ten minutes.
        workers: how many machines of theirs.
        newest_share_ms: Unix milliseconds of the newest share, None without any.
        round_effort: work since the last block that the pool found, in parts of a block's expected work.
        best: the best shares of everybody.
        best_odds: how probable a best share at least as good as this round's was; None without one.
        log: how much of the share log is rows, and how much is archived.
    """

    hashrate: Hashrate
    hashrate_hour: Hashrate
    accounts: int
    workers: int
    newest_share_ms: int | None
    round_effort: float
    best: Bests = _NO_BEST
    best_odds: float | None = None
    log: Extent = _NO_LOG


@attrs.frozen
class BlockRow:
    """A block that the pool found.

    Attributes:
        effort: work spent on it over the expected work; None if unknown, or if it is of another pot than the
            pool's, where it would be the finder's alone.
        pot: whose shares it is divided among.
        early_msat: what its miners were credited before it matures; zero once it has, or is an orphan.
    """

    hash: str
    height: int
    account: str
    state: str
    confirmations: int
    value_msat: Msat | None
    found_ms: int
    effort: float | None
    pot: str = POOL
    early_msat: Msat = _NOTHING


@attrs.frozen
class Balances:
    """What the pool owes an account: immature, ready to be paid, and held by payments under way."""

    immature: Msat = _NOTHING
    available: Msat = _NOTHING
    held: Msat = _NOTHING


@attrs.frozen
class RewardRow:
    """An account's part of one block; the block's own columns are None while the book has no row for it.

    ``early_msat`` is what of it was credited before the block matured.
    """

    block_hash: str
    height: int | None
    state: str | None
    confirmations: int | None
    amount_msat: Msat
    time_ms: int
    early_msat: Msat = _NOTHING


@attrs.frozen
class PaymentRow:
    """A payment to an account; ``way`` is lightning or onchain, ``reference`` a payment hash or a txid."""

    way: str
    reference: str
    amount_msat: Msat
    fee_msat: Msat | None
    state: str
    reason: str | None
    created_ms: int
