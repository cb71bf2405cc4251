"""Pushes to Lightning Addresses under load: how fast a thousand leave, and what claims wait for meanwhile.

The payer's own code works on books on disk, in a process of its own; the node is the stand-in of
``pool.bench.electrum``.  Services of strangers answer in that process, after a while: a real payer asks none
that is not on the internet.
"""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final, cast

import attrs
from twisted.internet.task import deferLater

from payouts import lnurl
from payouts.money import Msat
from payouts.outbound import Fetched
from payouts.pusher import Pushes, PushOptions
from payouts.sender import Sender, SenderOptions
from payouts.values import Claim, PaymentState
from pool.bench.claims import Figures, prepare_store
from pool.bench.claims import Plan as ClaimsPlan
from pool.bench.electrum import PASSWORD, USER, BenchElectrum
from pool.bench.process import BenchError
from pool.bench.wallets import AMOUNT, made_invoice
from pool.config import Config
from pool.lightning import lightning_node
from pool.payable import limits_of
from pool.roles.payer import claim_terms
from pool.store.claims import ClaimReader
from pool.store.database import connect, connect_to_read
from pool.store.destinations import DestinationDesk
from pool.store.inbox import ClaimQueue, InboxReader, InboxStore
from pool.store.payments import SqliteBook

_wall: Final[Callable[[], float]] = time.time  # noqa: TID251 -- as all roles' clocks
_ANSWERS_IN_S: Final = 0.05
_LOOK_S: Final = 0.01
_DEADLINE_S: Final = 600.0
_VALID_S: Final = 600
_THRESHOLD: Final = Msat(AMOUNT * 7 // 2)
"""Of the four that each account has; services take one, so that no account is due twice."""
_NO_LIMIT_SAT: Final = 10_000_000_000


@attrs.frozen
class Plan:
    """How much is measured.

    Attributes:
        pushes: accounts that are due when the payer starts.
        claims_per_s: claims of other accounts meanwhile.
    """

    pushes: int = 1_000
    claims_per_s: float = 5.0


QUICK: Final = Plan(pushes=5, claims_per_s=10.0)


@attrs.frozen
class Worked:
    """What the payer's process found.

    Attributes:
        seconds: until the last push had settled.
        waits_ms: of each claim, from its filing to its answer; with whether it was taken.
    """

    seconds: float
    waits_ms: list[tuple[int, bool]]


def measure(plan: Plan, say: Callable[[str], None], directory: Path | None = None) -> Figures:
    """Let a payer work off pushes, with claims among them.

    Args:
        plan: how much.
        say: told what is being done.
        directory: for the books, on the disk to be measured; None takes a temporary one.

    Returns:
        The figures by name, as docs/benchmarks.md explains them.

    Raises:
        BenchError: the payer's process ended, or did not come to an end.
    """
    with tempfile.TemporaryDirectory(prefix="sluice-bench-", dir=directory) as place, BenchElectrum() as node:
        store = Path(place) / "store"
        prepare_store(
            store, _names(plan), ClaimsPlan(paced=2 * plan.pushes, rushed=0, accounts=2 * plan.pushes)
        )
        with closing(connect(store, "ledger")) as ledger:
            desk = DestinationDesk(ledger)
            for name in _pushed(plan):
                desk.ask(name, "lightning", f"{name}@ln.example", by="a benchmark", now_ms=0, wait_ms=0)
        say(f"{plan.pushes} pushes, with {plan.claims_per_s:g} claims a second among them")
        worked = _in_a_process(plan, store, node.url)
        waits = sorted(wait for wait, _ in worked.waits_ms)
        return {
            "pushes_per_s": round(plan.pushes / worked.seconds, 1),
            "claim_ms_p50": waits[len(waits) // 2],
            "claim_ms_most": waits[-1],
            "claims": len(waits),
            "claims_refused": sum(not taken for _, taken in worked.waits_ms),
            "pushed_exactly_once": _once(store, node, plan),
        }


def _names(plan: Plan) -> list[str]:
    """Those who are pushed to, and as many who claim."""
    return [f"bench-{number:05d}" for number in range(2 * plan.pushes)]


def _pushed(plan: Plan) -> list[str]:
    return _names(plan)[: plan.pushes]


def _once(store: Path, node: BenchElectrum, plan: Plan) -> bool:
    """Whether the node has paid what the books have settled, all of it once, and every account's push."""
    with closing(connect_to_read(store, "ledger")) as ledger:
        payments = SqliteBook(ledger, lambda _: False).payments(limit=4 * plan.pushes)
    paid = {payment_hash: asked.paid for payment_hash, asked in node.asked.items() if asked.paid}
    settled = [payment for payment in payments if payment.state is PaymentState.SETTLED]
    pushed = sorted(payment.account for payment in settled if payment.account in _pushed(plan))
    return paid == {payment.payment_hash: 1 for payment in settled} and pushed == sorted(_pushed(plan))


def _in_a_process(plan: Plan, store: Path, url: str) -> Worked:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs, plan, store, url), daemon=True)
    process.start()
    theirs.close()
    try:
        if not ours.poll(_DEADLINE_S):
            raise BenchError("the payer does not come to an end")
        worked: Worked = ours.recv()
    except EOFError:
        raise BenchError("the payer's process has ended: its error is above") from None
    finally:
        process.terminate()
        process.join()
    return worked


class _Services:
    """LNURL-pay services of all addresses, with an invoice for each that asks."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._given = 0

    async def fetch(self, url: str, method: bytes = b"GET") -> Fetched:
        """Answer as LUD-06 has it, after a while."""
        await deferLater(self._reactor, _ANSWERS_IN_S)
        if "/.well-known/" not in url:
            self._given += 1
            return Fetched({"pr": made_invoice(self._given)[0], "routes": []})
        fixed = {"minSendable": AMOUNT, "maxSendable": AMOUNT}
        return Fetched({"tag": "payRequest", "callback": "https://ln.example/cb", "metadata": "[]", **fixed})


def _work(pipe: Connection, plan: Plan, store: Path, url: str) -> None:
    """Be the payer, and file claims beside it, until every push has settled."""
    from twisted.internet import reactor  # noqa: PLC0415, TID251 -- this process's

    clock: Any = cast(Any, reactor)
    payer = _Payer(plan, store, url, clock)
    clock.callWhenRunning(payer.start)
    clock.run()
    pipe.send(payer.worked)


class _Payer:
    def __init__(self, plan: Plan, store: Path, url: str, reactor: Any) -> None:
        self._plan, self._reactor, self._key = plan, reactor, (store / "server.key").read_bytes()
        ledger = connect(store, "ledger")
        self._inbox = InboxStore(connect(store, "inbox"))
        lightning = {"url": url, "user": USER, "password": PASSWORD}
        free = {"hour_free_sat": _NO_LIMIT_SAT, "day_sat": _NO_LIMIT_SAT}
        node = {"network": "regtest"}
        config = Config.model_validate({"node": node, "lightning": lightning, "payouts": free})
        assert config.lightning is not None  # noqa: S101 -- it is in there
        book = self._book = SqliteBook(ledger, lambda _: False)
        reader = InboxReader(connect_to_read(store, "inbox"))
        options = SenderOptions(
            terms=claim_terms(config, config.lightning, self._key),
            limits=limits_of(config.payouts),
            since_s=int(_wall()),
            poll_s=0.05,
        )
        self._sender = Sender(
            book,
            ClaimQueue(reader, ledger, _now_ms),
            lightning_node(config.lightning, reactor),
            reactor,
            _now_ms,
            options,
            Pushes(book, _Services(reactor), PushOptions(_THRESHOLD)),
        )
        self._answers = ClaimReader(ledger)
        self._filed: list[Claim] = []
        self.worked = Worked(0.0, [])

    def start(self) -> None:
        """Begin."""
        self._began_s = _wall()
        self._sender.start()
        self._file(0)
        self._look()

    def _file(self, number: int) -> None:
        account, now_ms = _names(self._plan)[self._plan.pushes + number], _now_ms()
        expires_s = now_ms // 1000 + _VALID_S
        token = lnurl.make_token(self._key, account, expires_s)
        k1_hash = lnurl.k1_hash(lnurl.k1(self._key, token, 0))
        invoice = made_invoice(self._plan.pushes + number + 1)[0]
        claim = Claim(0, account, expires_s, k1_hash, invoice, now_ms, now_ms + 5_000)
        self._filed.append(self._inbox.file(claim))
        if number + 1 < self._plan.pushes and self._book.pushes_due(_THRESHOLD, now_ms, 1):
            self._reactor.callLater(1 / self._plan.claims_per_s, self._file, number + 1)

    def _look(self) -> None:
        for claim in [each for each in self._filed if self._answers.answer_to(each) is not None]:
            answer = self._answers.answer_to(claim)
            self.worked.waits_ms.append((_now_ms() - claim.filed_ms, answer is not None and answer.taken))
            self._filed.remove(claim)
        if self._book.pushes_due(_THRESHOLD, _now_ms(), 1) or self._book.open_payments() or self._filed:
            self._reactor.callLater(_LOOK_S, self._look)
            return
        self.worked = attrs.evolve(self.worked, seconds=_wall() - self._began_s)
        self._sender.stop()
        self._reactor.stop()


def _now_ms() -> int:
    return int(_wall() * 1000)
