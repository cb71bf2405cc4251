"""How what is known of a payment is printed for people."""

from __future__ import annotations

from textwrap import wrap
from typing import Any, Final

from payouts.money import Msat
from pool.cli.common import sat_text, short, time_text

LONG: Final = 100
"""Characters of a line: an invoice or a raw transaction is longer."""
_ROOM: Final = LONG - 19  # beside a name


def shown(key: str, value: object) -> str:
    """A value of OperatorDesk.show as text; its key says in what unit it is."""
    if key.endswith("_ms") and isinstance(value, int):
        return f"{time_text(value)} UTC"
    if key.endswith("_expires_s") and isinstance(value, int):
        return f"{time_text(value * 1000)} UTC"
    if key.endswith("_msat") and isinstance(value, int):
        return f"{sat_text(Msat(value))} sat"
    if key == "history" and isinstance(value, list):
        lines = [_event(each) for each in value]
    elif key == "payee_service" and isinstance(value, list):
        lines = [line for each in value for line in _testimony(each)]
    elif key == "next":
        lines = wrap(str(value), LONG - 20)
    elif isinstance(value, list):
        lines = [", ".join(map(str, v.values())) + " sat" if isinstance(v, dict) else str(v) for v in value]
    else:
        text = str(value)
        lines = [text if len(text) <= _ROOM else f"{text[: _ROOM - 21]}… (--json shows all)"]
    return f"\n{'':19}".join(lines)


def _testimony(said: dict[str, Any]) -> list[str]:
    told = f"{time_text(said['at_ms'])} the payee's service said: {said['in_words']}"
    return wrap(told, LONG - 20, subsequent_indent="  ")


def _event(event: dict[str, Any]) -> str:
    detail = "" if event["detail"] is None else f": {event['detail']}"
    return short(f"{time_text(event['at_ms'])} {event['event']}{detail}", LONG - 20)
