"""The miners' ports, which all front processes of a store open together and nobody else does."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO, Any, Final

import attrs
from twisted.internet.defer import maybeDeferred
from twisted.internet.interfaces import IAddress, IListeningPort
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater

from pool.errors import StoreBusy
from pool.roles.base import Context
from pool.store.database import anybody_shares, share_role, sole_role
from stratum.shared_port import Sharing

_GATE: Final = "front-gate"
_OPEN: Final = "front-ports"
_AGAIN_S: Final = 0.02


class _Nobody(Factory):
    """What a port is opened with to see whether it can be had: it lets nobody in."""

    noisy = False

    def buildProtocol(self, addr: IAddress | None) -> None:  # noqa: N802 (Twisted's)
        """Close it."""


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
