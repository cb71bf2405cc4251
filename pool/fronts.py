"""Front processes side by side: what each is called, started and locked with, and its part of the limits."""

from __future__ import annotations

from collections.abc import Sequence
from math import isqrt
from typing import Final

from pool.config import Config
from pool.errors import ConfigError

_DEVIATIONS: Final = 4


def name_of(config: Config, number: int) -> str:
    """What a front process is called in the log; a front that is alone needs no number."""
    return "front" if config.stratum.processes == 1 else f"front-{number}"


def commands(config: Config, base: Sequence[str]) -> dict[str, list[str]]:
    """The front processes for the supervisor.

    Args:
        config: of the pool.
        base: arguments that end in ``--role``.

    Returns:
        The arguments by name.
    """
    return {
        name_of(config, number): [*base, "front", "--number", str(number)]
        for number in range(config.stratum.processes)
    }


def of_process(config: Config, number: int) -> Config:
    """The configuration of one front process: a front id of its own, and its part of the limits.

    Raises:
        ConfigError: there is no such process.
    """
    stratum = config.stratum
    if not 0 <= number < stratum.processes:
        raise ConfigError(
            f"--number {number}: stratum.processes is {stratum.processes}, so numbers go from 0 to"
            f" {stratum.processes - 1}"
        )
    part = {
        "front_id": stratum.front_id + number,
        "max_connections": share_of(stratum.max_connections, stratum.processes),
        "max_connections_per_address": share_of(stratum.max_connections_per_address, stratum.processes),
    }
    return config.model_copy(update={"stratum": stratum.model_copy(update=part)})


def share_of(limit: int, processes: int) -> int:
    """What one process may take of a limit of the pool's.

    The kernel deals connections by a hash, never evenly: a part of exactly limit/n would turn miners away
    long before the pool has so many.  Each process may exceed it by four standard deviations of such a deal.
    """
    if processes == 1:
        return limit
    part = -(-limit // processes)
    return min(limit, part + _DEVIATIONS * isqrt(part))


def locks(config: Config) -> dict[str, str]:
    """The file lock that each front process holds while it runs (see ``sole_role``), by its name."""
    return {
        name_of(config, number): f"front-{config.stratum.front_id + number}"
        for number in range(config.stratum.processes)
    }
