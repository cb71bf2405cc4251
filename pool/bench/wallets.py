"""Wallets that withdraw: the load of the claims benchmark, over real HTTP, in a process of their own."""

from __future__ import annotations

import json
import multiprocessing
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from hashlib import sha256
from http.client import HTTPConnection
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Final
from urllib.parse import urlsplit

import attrs
import bolt11

from payouts import lnurl
from payouts.money import Msat
from pool.bench.electrum import preimage
from pool.bench.process import BenchError

AMOUNT: Final = Msat(1_000_000)
_TEN: Final = 10
_REPEATS, _RIVALS = 3, 7
"""Of ten wallets one calls back twice at the same time, and another with two invoices for one k1."""
_THREADS: Final = 64
_TIMEOUT_S: Final = 30.0
_DEADLINE_S: Final = 600.0
_VALID_S: Final = 86_400
_KEY: Final = sha256(b"the payee of a benchmark").hexdigest()

# It measures another process from outside and waits for it, so it takes the real clocks, here and only here.
_now: Final[Callable[[], float]] = time.monotonic  # noqa: TID251
_wall: Final[Callable[[], float]] = time.time  # noqa: TID251


@attrs.frozen
class Told:
    """One callback and its answer.

    Attributes:
        invoice: what it presented.
        payment_hash: the invoice's.
        answer_s: from the beginning of its connection to the end of its answer.
        reason: why it was refused; None when the answer was OK.
        rival: whether two invoices were presented for its k1, of which one must be refused.
    """

    invoice: str
    payment_hash: str
    answer_s: float
    reason: str | None
    rival: bool


@attrs.frozen
class Stretch:
    """What came of some claims.  Attributes: how long all of them took; their callbacks."""

    seconds: float
    told: list[Told] = attrs.field(repr=False)


class Withdrawals:
    """What the process can be asked to do; every method is called through the pipe."""

    def __init__(self, port: int, key: bytes, accounts: Sequence[str]) -> None:
        self._port = port
        self._key = key
        self._accounts = accounts
        self._invoices: list[tuple[str, str]] = []
        self._made = 0
        self._wallets = ThreadPoolExecutor(_THREADS)
        self._callbacks = ThreadPoolExecutor(2 * _THREADS)

    def prepare(self, claims: int) -> None:
        """Make the invoices of so many claims ahead: signing them must not count."""
        for _ in range(claims * (_TEN + 1) // _TEN + 1):
            self._invoices.append(made_invoice(self._made))
            self._made += 1

    def pace(self, claims_per_s: float, count: int) -> Stretch:
        """Begin so many claims at a fixed pace, whether the earlier ones are answered or not."""
        began, running = _now(), []
        for number in range(count):
            time.sleep(max(0.0, began + number / claims_per_s - _now()))
            running.append(self._begin(number))
        return self._all(began, running)

    def rush(self, at_once: int, count: int) -> Stretch:
        """Let so many wallets claim, each again as soon as it has its answer."""
        began = _now()
        with ThreadPoolExecutor(at_once) as few:
            running = [few.submit(self._claim, number, *self._take(number)) for number in range(count)]
        return self._all(began, running)

    def _begin(self, number: int) -> Future[list[Told]]:
        return self._wallets.submit(self._claim, number, *self._take(number))

    def _take(self, number: int) -> tuple[tuple[str, str], tuple[str, str] | None]:
        other = self._invoices.pop() if number % _TEN == _RIVALS else None
        return self._invoices.pop(), other

    def _all(self, began: float, running: Sequence[Future[list[Told]]]) -> Stretch:
        told = [each for claim in running for each in claim.result(_TIMEOUT_S)]
        return Stretch(_now() - began, told)

    def _claim(self, number: int, own: tuple[str, str], other: tuple[str, str] | None) -> list[Told]:
        account = self._accounts[number % len(self._accounts)]
        token = lnurl.make_token(self._key, account, int(_wall()) + _VALID_S)
        offer = self._get(f"/lnurl/w/{token}")
        if "k1" not in offer:
            return [Told(*own, 0.0, str(offer.get("reason")), rival=False)]
        path = f"{urlsplit(offer['callback']).path}?k1={offer['k1']}&pr="
        presented = [own] * (2 if number % _TEN == _REPEATS else 1) + ([other] if other else [])

        def call(invoice: tuple[str, str]) -> Told:
            began = _now()
            answer = self._get(path + invoice[0])
            reason = None if answer.get("status") == "OK" else str(answer.get("reason"))
            return Told(*invoice, _now() - began, reason, rival=other is not None)

        return list(self._callbacks.map(call, presented))

    def _get(self, path: str) -> dict[str, Any]:
        """A request on a connection of its own, as a phone makes it."""
        with closing(HTTPConnection("127.0.0.1", self._port, timeout=_TIMEOUT_S)) as link:
            link.request("GET", path)
            document: dict[str, Any] = json.loads(link.getresponse().read())
            return document


def made_invoice(number: int) -> tuple[str, str]:
    """An ordinary regtest invoice whose description is its number, and its payment hash."""
    payment_hash = sha256(bytes.fromhex(preimage(number))).hexdigest()
    tags = bolt11.Tags(
        [
            bolt11.Tag(bolt11.TagChar.payment_hash, payment_hash),
            bolt11.Tag(bolt11.TagChar.payment_secret, "5e" * 32),
            bolt11.Tag(bolt11.TagChar.description, str(number)),
            bolt11.Tag(bolt11.TagChar.expire_time, _VALID_S),
        ]
    )
    draft = bolt11.Bolt11("bcrt", int(_wall()), tags, bolt11.MilliSatoshi(AMOUNT))
    return bolt11.encode(draft, _KEY), payment_hash


class Wallets:
    """The wallets' process; its end of the pipe.  A context that ends it."""

    def __init__(self, port: int, key: bytes, accounts: Sequence[str]) -> None:
        # spawned rather than forked: the node stand-in has threads in this process
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, port, key, list(accounts)), daemon=True)

    def __enter__(self) -> Wallets:
        self._process.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.join()

    def prepare(self, claims: int) -> None:
        """See Withdrawals."""
        self._call("prepare", claims)

    def pace(self, claims_per_s: float, count: int) -> Stretch:
        """See Withdrawals."""
        stretch: Stretch = self._call("pace", claims_per_s, count)
        return stretch

    def rush(self, at_once: int, count: int) -> Stretch:
        """See Withdrawals."""
        stretch: Stretch = self._call("rush", at_once, count)
        return stretch

    def _call(self, name: str, *arguments: Any) -> Any:
        self._pipe.send((name, arguments))
        if not self._pipe.poll(_DEADLINE_S):
            raise BenchError("the wallets do not answer")
        try:
            result = self._pipe.recv()
        except (EOFError, ConnectionResetError):
            raise BenchError("the wallets' process has ended: its error is above") from None
        if isinstance(result, BenchError):
            raise result
        return result


def _serve(pipe: Connection, port: int, key: bytes, accounts: list[str]) -> None:
    withdrawals = Withdrawals(port, key, accounts)
    while True:
        name, arguments = pipe.recv()
        try:
            pipe.send(getattr(withdrawals, name)(*arguments))
        except (OSError, ValueError) as error:
            pipe.send(BenchError(f"the site did not answer a wallet: {error}"))
