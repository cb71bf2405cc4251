"""What the tests of killed payers share: fresh books with money in them, claims, and payers' lives."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

import attrs

from payouts import lnurl
from payouts.money import Msat
from payouts.values import Claim
from pool import ledger
from pool.regtest.processes import wait_until
from pool.regtest.rig import Rig
from pool.regtest.wallet import received_msat
from pool.rewards.split import Division
from pool.store.database import FILES, connect, connect_to_read
from pool.store.destinations import DestinationDesk
from pool.store.inbox import InboxStore
from pool.store.ledger import LedgerStore
from pool.verify import verify
from tests.regtest.payer_child import KEY

ROOT: Final = Path(__file__).parents[2]
ALICE: Final = "alice"
BOB: Final = "bob"
BALANCE: Final = Msat(5_000_000)
NO_END: Final = 1_000_000


def now_s() -> int:
    return int(time.time())


@attrs.frozen
class Paid:
    """A row of table ``payment``."""

    payment_hash: str
    state: str
    amount: int
    max_fee: int
    fee: int | None


class Books:
    """A store with the operator's deposits and a matured block's rewards; what it shows is read afresh.

    Attributes:
        directory: of the store.
        begin_s: Unix second from which the node's payments must be in it.
        key: the server key that its links are made with.
    """

    def __init__(self, directory: Path, balances: Mapping[str, int], key: bytes = KEY) -> None:
        self.directory = directory
        self.key = key
        for name in FILES:
            connect(directory, name).close()
        shares = {name: Msat(amount) for name, amount in balances.items()}
        value = Msat(sum(shares.values()) + 1)
        division = Division(value, Msat(1), Msat(0), Msat(0), shares)
        block = secrets.token_hex(32)
        reward = ledger.reward(block, 0, division, {})
        # with the next second: what the node paid for earlier books in this one is not theirs
        self.begin_s = now_s() + 1
        began_ms = self.begin_s * 1000
        with self.open() as books:
            store = LedgerStore(books)
            store.post(ledger.deposit("lightning", "lightning", Msat(1_000_000_000)), began_ms)
            store.post(ledger.deposit("hot", "hot", Msat(1_000_000_000)), began_ms)
            store.post(reward, began_ms)
            store.post(ledger.mature(block, 0, reward), began_ms)
        self._at_first = self.balances()
        self._differences = self.differences()

    @contextmanager
    def open(self) -> Iterator[Any]:
        with closing(connect(self.directory, "ledger")) as connection:
            yield connection

    def balances(self) -> dict[str, Msat]:
        with self.open() as books:
            return LedgerStore(books).balances()

    def moved(self, account: str) -> int:
        """By how much a ledger account has changed, debit positive."""
        return self.balances().get(account, 0) - self._at_first.get(account, 0)

    def held(self, account: str = ALICE) -> int:
        return -self.balances().get(ledger.miner(account, "held"), 0)

    def debited(self, account: str = ALICE) -> int:
        """What the account has lost for good: what is missing from available and held together."""
        return self.moved(ledger.miner(account, "available")) - self.held(account)

    def payments(self, account: str = ALICE) -> list[Paid]:
        """Every payment of an account as the table has it, whatever its state."""
        with self.open() as books:
            rows = books.execute(
                "SELECT payment_hash, state, amount_msat, max_fee_msat, fee_msat FROM payment"
                " WHERE account = ? ORDER BY id",
                (account,),
            ).fetchall()
        return [Paid(*row) for row in rows]

    def differences(self) -> tuple[str, ...]:
        with closing(connect_to_read(self.directory, "shares")) as shares, self.open() as books:
            return verify(shares, books).differences

    def assert_right(self) -> None:
        """The audit finds nothing that it has not found in the made-up block at the beginning."""
        with self.open() as books:
            (spent,) = books.execute(
                "SELECT coalesce(sum(amount_msat + fee_msat), 0) FROM payment WHERE state = 'settled'"
            ).fetchone()
        assert self.moved(ledger.LIGHTNING) == -spent
        assert sum(self.balances().values()) == 0
        assert self.differences() == self._differences

    def claim(self, invoice: str, *, account: str = ALICE, taken: int = 0, within_ms: int = 20_000) -> None:
        """File a claim as the web does when a wallet has presented the right k1."""
        expires_s = now_s() + 600
        token = lnurl.make_token(self.key, account, expires_s)
        k1_hash = lnurl.k1_hash(lnurl.k1(self.key, token, taken))
        now_ms = int(time.time() * 1000)
        with closing(connect(self.directory, "inbox")) as inbox:
            InboxStore(inbox).file(Claim(0, account, expires_s, k1_hash, invoice, now_ms, now_ms + within_ms))

    def push_to(self, target: str, account: str = ALICE) -> None:
        """Let the account have a Lightning Address."""
        with self.open() as books:
            DestinationDesk(books).ask(account, "lightning", target, by="a test", now_ms=0, wait_ms=0)

    def answers(self) -> list[tuple[bool, str | None]]:
        """Every claim's answer: whether it was taken, and why not."""
        with self.open() as books:
            rows = books.execute("SELECT taken, reason FROM claim ORDER BY claim_id").fetchall()
        return [(bool(taken), reason) for taken, reason in rows]


@attrs.define
class Life:
    """A payer's life that was begun; ``end`` waits for it."""

    answer: Any
    record: Path

    def end(self) -> int:
        """Its exit status, -9 when it has killed itself."""
        line = self.answer.readline()
        assert line, "the payers' process ended"
        return int(line)

    def steps(self) -> list[str]:
        """What it came to, once each, in order."""
        return list(dict.fromkeys(self.record.read_text(encoding="utf-8").splitlines()))


@attrs.define
class Payers:
    """A process that forks payers; one lives at a time."""

    process: subprocess.Popen[str]
    record: Path

    def begin(
        self, books: Books, target: Mapping[str, object], *, die_at: str | None = None, **other: Any
    ) -> Life:
        """Let a payer live on these books.

        Args:
            books: its store.
            target: rail, url, user and password of its node.
            die_at: the step at which it kills itself.
            other: ``ahead_s`` of its wall clock, ``pay_timeout_s``, ``die_after`` so many steps, ``invoices``
                that Lightning Addresses give.
        """
        order = {
            "store": str(books.directory),
            "since_s": books.begin_s,
            "record": str(self.record),
            "die_at": die_at,
            "die_after": NO_END,
            "ahead_s": 0,
            "pay_timeout_s": 60.0,
            "invoices": [],
            **target,
            **other,
        }
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        return Life(self.process.stdout, self.record)


@contextmanager
def payers(directory: Path) -> Iterator[Payers]:
    """The process, with its log in a directory."""
    command = [sys.executable, "-m", "tests.regtest.payer_child"]
    with (
        (directory / "payers.log").open("w") as log,
        subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
        ) as process,
    ):
        yield Payers(process, directory / "steps")
        # leaving closes its standard input, which ends it


def electrum_of(rig: Rig) -> dict[str, object]:
    """The pool's Lightning node, as an order names it."""
    login = rig.pool.endpoint.login
    return {"rail": "lightning", "url": rig.pool.url, "user": login.user, "password": login.password}


def assert_paid_once(rig: Rig, books: Books, amount_msat: int, account: str = ALICE) -> None:
    """The wallet's own books have the amount, once, and the pool's have debited that and the fee."""
    (payment,) = books.payments(account)
    assert (payment.state, payment.amount) == ("settled", amount_msat)
    wait_until(
        "the wallet's books show it", lambda: received_msat(rig.wallet, payment.payment_hash) > 0, 10.0
    )
    assert received_msat(rig.wallet, payment.payment_hash) == amount_msat
    assert payment.fee is not None
    assert books.debited(account) == amount_msat + payment.fee
    assert books.held(account) == 0
    books.assert_right()


def assert_given_back(rig: Rig, books: Books, account: str = ALICE) -> None:
    """The wallet has received nothing, and the whole hold is the miner's again."""
    (payment,) = books.payments(account)
    assert payment.state == "failed"
    assert received_msat(rig.wallet, payment.payment_hash) == 0
    assert (books.debited(account), books.held(account)) == (0, 0)
    books.assert_right()


def assert_hold_intact(rig: Rig, books: Books, account: str = ALICE) -> None:
    """Nobody has received anything yet, and the money is set aside."""
    (payment,) = books.payments(account)
    assert payment.state in {"sending", "unknown"}
    assert received_msat(rig.wallet, payment.payment_hash) == 0
    assert books.held(account) == payment.amount + payment.max_fee
    assert books.debited(account) == 0
    books.assert_right()
