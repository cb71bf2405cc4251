"""Real payers in processes of their own: a line of JSON on standard input is one life, forked and ended here.

Starting Python and importing the pool takes longer than a payment does, so this process does it once, and
each payer is a fork of it with a reactor and connections of its own.  The answer is a line with its exit
status, negative when a signal ended it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NoReturn, cast

import attrs
from twisted.internet import epollreactor
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import (
    FilteringLogObserver,
    LogLevel,
    LogLevelFilterPredicate,
    globalLogBeginner,
    textFileLogObserver,
)

from payouts.claims import ClaimTerms
from payouts.invoice import Network, decode
from payouts.money import Msat, Sat
from payouts.onchain.batch import Batcher, BatcherOptions
from payouts.onchain.bitcoind import BitcoindWallet
from payouts.outbound import Fetched
from payouts.planner import FeePolicy
from payouts.pusher import Pushes, PushOptions
from payouts.sender import Sender, SenderOptions
from pool.accounts import payable_address
from pool.chain.bitcoind import wallet_call
from pool.chain.rpc import Rpc, UserPassword
from pool.config import LightningConfig
from pool.lightning import lightning_node
from pool.roles.payer import PoolWallet
from pool.store.database import connect, connect_to_read
from pool.store.inbox import ClaimQueue, InboxReader
from pool.store.payments import SqliteBook
from tests.regtest.payer_life import Life, Port, Posts

DEADLINE_S: Final = 30
KEY: Final = b"a server key that is for tests"
FEES: Final = FeePolicy(Msat(5000), 10_000)
TERMS: Final = ClaimTerms(KEY, Network.REGTEST, Sat(10), Sat(100_000), FEES)
THRESHOLD: Final = Sat(50_000)
PUSH_ABOVE: Final = Msat(4_950_000)
"""Less than what the tests' accounts begin with, by less than what a push takes."""
CONFIRMATIONS: Final = 3


def main() -> None:
    """Fork a payer for each line until standard input closes."""
    for line in sys.stdin:
        child = os.fork()
        if not child:
            _live(json.loads(line))
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


def _live(order: dict[str, Any]) -> NoReturn:
    """Be the payer that is ordered, to its end."""
    signal.alarm(DEADLINE_S)
    status = 1
    try:
        # the reactor that imports have brought is this process's parent's: its epoll would be shared
        sys.modules.pop("twisted.internet.reactor", None)
        cast(Any, epollreactor).install()
        from twisted.internet import reactor  # noqa: PLC0415 -- the new one

        _log()
        record = os.open(order["record"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        life = Life(record, order["die_at"], order["die_after"], cast(Any, reactor))
        status = {"lightning": _lightning, "onchain": _onchain}[order["rail"]](order, reactor, life)
    except BaseException:  # noqa: BLE001 -- nothing of the parent may run in a fork
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def _log() -> None:
    levels = LogLevelFilterPredicate(defaultLogLevel=LogLevel.info)
    levels.setLogLevelForNamespace("twisted.web.client", LogLevel.warn)
    observer = FilteringLogObserver(textFileLogObserver(sys.stderr), [levels])
    globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=False)


def _now_ms(order: dict[str, Any]) -> Callable[[], int]:
    ahead_ms = int(order["ahead_s"]) * 1000
    return lambda: int(time.time() * 1000) + ahead_ms


def _lightning(order: dict[str, Any], reactor: Any, life: Life) -> int:
    """Answer the claims and carry payments until there is nothing left to do."""
    directory, now_ms = Path(order["store"]), _now_ms(order)
    ledger = connect(directory, "ledger")
    book = SqliteBook(ledger, lambda _: False)
    claims = ClaimQueue(InboxReader(connect_to_read(directory, "inbox")), ledger, now_ms)
    where = {key: order[key] for key in ("url", "user", "password", "pay_timeout_s")}
    node: Any = lightning_node(LightningConfig.model_validate(where), reactor)
    node._http = Posts(node._http, life)
    options = SenderOptions(TERMS, since_s=order["since_s"], poll_s=0.01, retry_s=0.02, max_retry_s=0.1)
    ports: tuple[Any, Any] = (Port("book", book, life), Port("node", node, life))
    pushes = None
    if order["invoices"]:
        strangers: Any = Port("strangers", Service(list(order["invoices"])), life)
        pushes = Pushes(ports[0], strangers, PushOptions(PUSH_ABOVE, every_s=0.02))
    sender = Sender(ports[0], claims, ports[1], reactor, now_ms, options, pushes)
    sender.start()

    def look() -> None:
        due = pushes is not None and book.pushes_due(PUSH_ABOVE, now_ms(), 1)
        if not due and not claims.unanswered(1) and not book.open_payments():
            reactor.stop()

    _every(0.01, look, reactor)
    reactor.run()
    return 0


@attrs.define
class Service:
    """A Lightning Address's service that has its invoices ready, each over the same amount."""

    invoices: list[str]

    async def fetch(self, url: str, method: bytes = b"GET") -> Fetched:
        """Answer as LUD-06 has it."""
        if "/.well-known/" not in url:
            return Fetched({"pr": self.invoices.pop(0), "routes": []})
        amount = decode(self.invoices[0]).amount
        return Fetched(
            {
                "tag": "payRequest",
                "callback": f"https://{method.decode().lower()}.example/cb",
                "minSendable": amount,
                "maxSendable": amount,
                "metadata": "[]",
            }
        )


def _onchain(order: dict[str, Any], reactor: Any, life: Life) -> int:
    """One round of the batcher."""
    ledger, now_ms = connect(Path(order["store"]), "ledger"), _now_ms(order)
    book = SqliteBook(ledger, lambda name: payable_address(name, "regtest") is not None)
    rpc = Rpc(order["url"], UserPassword("payer", order["user"], order["password"]), reactor)
    wallet = BitcoindWallet(PoolWallet(wallet_call(rpc), order["wallet"]).ask)
    options = BatcherOptions(THRESHOLD, fee_rate_msat_vb=5000, confirmations=CONFIRMATIONS)
    ports: tuple[Any, Any] = (Port("book", book, life), Port("wallet", wallet, life))
    batcher = Batcher(ports[0], ports[1], reactor, now_ms, options)
    failed: list[object] = []

    def round_of_it() -> None:
        looked = Deferred.fromCoroutine(batcher.look())
        looked.addErrback(failed.append)
        looked.addBoth(lambda _: reactor.stop())

    reactor.callWhenRunning(round_of_it)
    reactor.run()
    for failure in failed:
        sys.stderr.write(f"{failure}\n")
    return len(failed)


def _every(seconds: float, step: Callable[[], None], clock: Any) -> None:
    loop = LoopingCall(step)
    loop.clock = clock
    loop.start(seconds, now=False)


if __name__ == "__main__":
    main()
