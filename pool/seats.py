"""Miners' seats over a planned restart: written at a front's stop, taken by its next start, once."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import attrs
from twisted.logger import Logger

from stratum.returning import KeptSeat

log = Logger()


def path_of(directory: Path, front_id: int) -> Path:
    """Where a front's seats lie between two runs."""
    return directory / f"seats-{front_id}.json"


def write(path: Path, seats: Sequence[KeptSeat], now_s: float) -> None:
    """Keep the seats for the next run; for nobody else to read, since whoever reads a seat can take it.

    A disk that refuses is logged: miners then begin anew, which costs them nothing but a moment.
    """
    document = {"written_s": now_s, "seats": [attrs.asdict(seat) for seat in seats]}
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(document, file)
    except OSError as error:
        log.warn("Miners' seats could not be kept: {why}", why=error.strerror)


def take(path: Path, now_s: float) -> list[KeptSeat]:
    """The seats of the run before, with the time that they have left now; the file is gone afterwards."""
    try:
        text = path.read_text(encoding="utf-8")
        path.unlink()
        document = json.loads(text)
        away_s = max(0.0, now_s - float(document["written_s"]))
        seats = [KeptSeat(**seat) for seat in document["seats"]]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError, KeyError) as error:
        log.warn("Miners' seats in {path} could not be read: {why}", path=str(path), why=type(error).__name__)
        return []
    return [attrs.evolve(seat, left_s=seat.left_s - away_s) for seat in seats if seat.left_s > away_s]
