"""Front processes side by side: how each is called and started, its part of the limits, and their ports."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, suppress
from math import isqrt
from pathlib import Path
from typing import IO, Any, Final

import attrs
from twisted.internet.defer import maybeDeferred
from twisted.internet.interfaces import IAddress, IListeningPort
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater

from pool.config import Config
from pool.errors import ConfigError, StoreBusy
from pool.roles.base import Context
from pool.store.database import anybody_shares, share_role, sole_role
from stratum.shared_port import Sharing

_DEVIATIONS: Final = 4
_GATE: Final = "front-gate"
_OPEN: Final = "front-ports"
_AGAIN_S: Final = 0.02


class _Nobody(Factory):
    """What a port is opened with to see whether it can be had: it lets nobody in."""

    noisy = False

    def buildProtocol(self, addr: IAddress | None) -> None:  # noqa: N802 (Twisted's)
        """Close it."""


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


async def listen(
    context: Context, ports: Sequence[tuple[str, str, Factory]], opened: list[IListeningPort]
) -> IO[str] | None:
    """Open the miners' ports, of which all front processes of this store have the same ones.

    A port that several processes share takes any process that asks for it in the same way, also one of
    another pool.  So the first of our fronts has each port to itself for a moment, while no other passes.

    Args:
        context: of the role.
        ports: key, endpoint string and factory of each.
        opened: where what is open is added, at once.

    Returns:
        What tells the other fronts that the ports are ours, to be kept open as long as they are.

    Raises:
        ConfigError: a port cannot be had, or not be shared.
    """
    if context.config.stratum.processes == 1:
        for key, description, factory in ports:
            opened.append(await context.listen(key, description, factory))
        return None
    directory = context.config.store.directory
    with ExitStack() as gate:
        await _pass(gate, directory, context.reactor)
        if not anybody_shares(directory, _OPEN):
            for key, description, _ in ports:
                alone = await context.bind(key, description, _Nobody())
                await maybeDeferred(alone.stopListening)
        shared = attrs.evolve(context, reactor=Sharing(context.reactor))
        for key, description, factory in ports:
            opened.append(await shared.listen(key, description, factory))
        return share_role(directory, _OPEN)


async def _pass(gate: ExitStack, directory: Path, reactor: Any) -> None:
    while True:
        with suppress(StoreBusy):
            gate.enter_context(sole_role(directory, _GATE))
            return
        await deferLater(reactor, _AGAIN_S, lambda: None)
