"""A Lightning Address's service with a real wallet behind it, over TLS, and a payer role that reaches it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import attrs
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from zope.interface import directlyProvides, providedBy

from payouts.outbound import Rule
from pool.config import load
from pool.regtest.electrum import Electrum
from pool.roles.base import Context
from pool.roles.payer import PayerRole
from tests.payouts.strangers import HOST, Served, Stranger, document, listen
from tests.regtest.payer_reactor import reactor

MSAT_PER_SAT: Final = 1000
HTTPS: Final = 443


@attrs.define
class AddressService:
    """LUD-06 and LUD-16 for every user of a host.

    Attributes:
        wallet: makes the invoices.
        broken: users whose callback answers an error.
        asked: paths and queries, in order.
        invoices: that were given, by user.
        notified: empty POSTs that came.
    """

    wallet: Electrum
    broken: set[str] = attrs.Factory(set)
    asked: list[str] = attrs.Factory(list)
    invoices: dict[str, list[str]] = attrs.Factory(dict)
    notified: list[bytes] = attrs.Factory(list)

    def answer(self, request: bytes) -> bytes:
        """What a whole request is answered."""
        method, target, _ = request.split(b"\r\n")[0].decode().split(" ")
        if method == "POST":
            self.notified.append(request)
            return document(b"", b"204 No Content")
        self.asked.append(target)
        return document(json.dumps(self._document(target)).encode())

    def _document(self, target: str) -> dict[str, object]:
        parts = urlsplit(target)
        if parts.path.startswith("/.well-known/lnurlp/"):
            user = parts.path.rpartition("/")[2]
            return {
                "tag": "payRequest",
                "callback": f"https://{HOST}/pay?user={user}",
                "minSendable": MSAT_PER_SAT,
                "maxSendable": 10**11,
                "metadata": json.dumps([["text/identifier", f"{user}@{HOST}"]]),
            }
        query = parse_qs(parts.query)
        user, amount = query["user"][0], int(query["amount"][0])
        if user in self.broken:
            return {"status": "ERROR", "reason": "this wallet is full"}
        invoice = self.wallet.invoice(amount // MSAT_PER_SAT)
        self.invoices.setdefault(user, []).append(invoice)
        return {"pr": invoice, "routes": []}


class PortOfHttps:
    """A reactor on which port 443 is where the service listens: nobody may have the real one in a test."""

    def __init__(self, stranger: Stranger) -> None:
        self._to = stranger.number
        directlyProvides(self, providedBy(reactor))

    def __getattr__(self, name: str) -> Any:
        return getattr(reactor, name)

    def connectTCP(self, host: str, port: int, *args: Any, **kwargs: Any) -> Any:
        """IReactorTCP."""
        return reactor.connectTCP(host, self._to if port == HTTPS else port, *args, **kwargs)


@attrs.define
class Payer:
    """A payer role in this process.

    Attributes:
        ahead_s: by how much its wall clock is ahead.
        gave_up: errors that ended it.
    """

    ahead_s: int = 0
    gave_up: list[Exception] = attrs.Factory(list)

    def wall(self) -> float:
        """Unix seconds."""
        return time.time() + self.ahead_s


@contextmanager
def payer_role(config: Path, service: AddressService) -> Iterator[Payer]:
    """The whole role as its process starts it, but for where names lead."""
    if not reactor._started:
        reactor.startRunning(installSignalHandlers=False)
    stranger = listen(reactor, Served(service.answer))

    async def resolve(host: str) -> Sequence[str]:
        return ["127.0.0.1"] if host == HOST else []

    payer = Payer()
    rule = Rule(resolve, allowed=lambda address: address == "127.0.0.1", trust=stranger.trust)
    there = PortOfHttps(stranger)
    role = PayerRole(Context(load(config), there, payer.wall, Logger(), payer.gave_up.append), rule)
    failures: list[Any] = []
    Deferred.fromCoroutine(role.start()).addErrback(failures.append)
    try:
        yield payer
        assert failures == []
        assert payer.gave_up == []
    finally:
        Deferred.fromCoroutine(role.stop())
        stranger.port.stopListening()
        turn_until(lambda: True)


def turn_until(holds: Callable[[], object], seconds: float = 40.0) -> None:
    """Turn the reactor until something holds.

    Raises:
        AssertionError: it did not in time.
    """
    end = time.monotonic() + seconds
    for turn in range(10**9):
        reactor.iterate(0.01)
        if turn % 10 == 9 and holds():
            return
        assert time.monotonic() < end, "it did not come to that in time"
