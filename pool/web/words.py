"""How figures read to people: satoshi, hashrates, times, long names."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from payouts.money import MSAT_PER_SAT
from pool.luck import Luck
from pool.store.activity import Hashrate

_PREFIXES: Final = ("", "k", "M", "G", "T", "P", "E", "Z")


def sat(amount_msat: int) -> str:
    """Msat as satoshi with thousands grouped, to the last msat: ``12,345.678``."""
    whole, rest = divmod(abs(amount_msat), MSAT_PER_SAT)
    sign = "-" if amount_msat < 0 else ""
    return f"{sign}{whole:,}" + (f".{rest:03d}" if rest else "")


def rate(hps: float) -> str:
    """Hashes per second with a prefix and three digits: ``1.23 TH/s``."""
    number, prefix = _scaled(hps)
    return f"{number} {prefix}H/s"


def thousands(value: float) -> str:
    """A great number in few digits: ``1.23 T``, ``512``, ``0.00047``."""
    if 0 < value < 9.995:
        return f"{value:.3g}" if value >= 0.001 else f"{value:.2g}"
    return " ".join(_scaled(value)).strip()


def _scaled(value: float) -> tuple[str, str]:
    """Three digits of a number, and the prefix that they are in."""
    index = 0
    while value >= 999.5 and index < len(_PREFIXES) - 1:
        value /= 1000
        index += 1
    digits = 0 if value >= 99.95 or index == 0 else 1 if value >= 9.995 else 2
    return f"{value:.{digits}f}", _PREFIXES[index]


def often(probability: float) -> str:
    """In how many cases something comes by chance: ``43 in 100``, ``1 in 2,000``, ``nearly all``."""
    if probability >= 0.995:
        return "nearly all"
    if probability >= 0.095:
        return f"{round(probability * 100)} in 100"
    return f"1 in {_rounded(1 / probability):,}" if probability else "hardly any"


def _rounded(value: float) -> int:
    """Two digits of a great number: an estimate is not known any better."""
    return round(round(value), 2 - len(str(int(value))))


def difficulty(value: Decimal) -> str:
    """A difficulty with thousands grouped and without an exponent: ``10,000`` or ``0.001``."""
    return f"{value.normalize():,f}"


def interval(hashrate: Hashrate) -> str:
    """The 95 % interval of an estimate: ``0.9 TH/s to 1.4 TH/s``."""
    return f"{rate(hashrate.low_hps)} to {rate(hashrate.high_hps)}"


def luck(found: Luck) -> str:
    """Luck with its 95 % interval: ``87 % (54 % to 128 %) over 20 blocks``."""
    blocks = f"{found.blocks} blocks" if found.blocks > 1 else "1 block"
    return f"{percent(found.ratio)} ({percent(found.low)} to {percent(found.high)}) over {blocks}"


def utc(time_ms: int) -> str:
    """Unix milliseconds as ``2026-01-31 12:00 UTC``."""
    return datetime.fromtimestamp(time_ms // 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")


def iso(time_ms: int) -> str:
    """Unix milliseconds for a machine-readable ``datetime`` attribute."""
    return datetime.fromtimestamp(time_ms // 1000, UTC).isoformat()


def ago(time_ms: int, now_ms: int) -> str:
    """How long ago, in one unit: ``3 min ago``."""
    seconds = max(0, now_ms - time_ms) // 1000
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return f"{seconds} s ago"


def percent(ratio: float) -> str:
    """A ratio as a percentage: ``87 %``, or ``0.3 %`` below ten."""
    value = ratio * 100
    return f"{value:.1f} %" if value < 10 else f"{value:,.0f} %"


def short(text: str) -> str:
    """The ends of a long name or hash."""
    return text if len(text) <= 20 else f"{text[:8]}…{text[-6:]}"


def fee(bps: int) -> str:
    """Hundredths of a percent: ``1 %``, ``1.5 %``."""
    whole, rest = divmod(bps, 100)
    return f"{whole}" + (f".{rest:02d}".rstrip("0") if rest else "") + " %"


def wait(blocks: int) -> str:
    """How long so many blocks take, roughly: ``about 3 hours``."""
    minutes = blocks * 10
    if minutes < 90:
        return f"about {minutes} minutes"
    return f"about {round(minutes / 60)} hours"
