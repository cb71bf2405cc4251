"""A whole site over a store in a temporary directory, asked without a network."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import attrs
from twisted.internet.address import IPv4Address
from twisted.internet.defer import maybeDeferred
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock, StringTransportWithDisconnection

from payouts import lnaddress
from payouts.claims import ClaimTerms
from payouts.invoice import Network
from payouts.money import Msat, Sat
from payouts.planner import FeePolicy
from payouts.values import Answer, WithdrawTerms
from payouts.web import LnurlRoutes, WithdrawOptions
from pool.accounts import hash_secret
from pool.errors import StoreError
from pool.owners import OwnerDesk
from pool.store.access import AccessBook
from pool.store.claims import ClaimReader
from pool.store.database import connect
from pool.store.destinations import DestinationDesk
from pool.store.queries import Queries
from pool.store.wishes import WishAnswers, WishInbox, answer_wishes
from pool.web.access import AccessLog, visitor
from pool.web.bucket import Gate
from pool.web.miner_ports import MinerPort
from pool.web.owners import OwnerPages
from pool.web.ports import Facts
from pool.web.private import LOGINS, LOGINS_EACH, Surroundings
from pool.web.proof import ProofPages
from pool.web.site import Site
from pool.wishes import Granter, Verdict, Wish, WishTerms, encode
from stratum.units import DIFFICULTY_1_TARGET
from tests.pool.test_store_queries import ADDRESS, NOW_MS, add_found, add_shares, post

SECRET = "s3cret-" + "A" * 36
NAME = "m-k3x9q2ab"
KEY = b"k" * 32
OWN_PAGE = (("Sec-Fetch-Site", "same-origin"),)
WISH_TERMS = WishTerms(
    public_url="https://pool.example",
    network="regtest",
    server_key=KEY,
    wait_ms=24 * 3_600_000,
    target_of=lambda rail, text: lnaddress.normal(text) if rail == "lightning" else text,
)
CLAIM_TERMS = ClaimTerms(KEY, Network.REGTEST, Sat(10), Sat(1_000_000), FeePolicy(Msat(5_000), 10_000))
FACTS = Facts(
    name="Club <pool>",
    public_url="https://pool.example",
    ports=(
        MinerPort("stratum+tcp://pool.example:3333", Decimal(10_000), Decimal("0.001"), True, ""),
        MinerPort("stratum+ssl://mine.example:443", Decimal(10_000), Decimal("0.001"), True, "from <abroad>"),
        MinerPort("stratum+tcp://pool.example:3335", Decimal("1E+6"), Decimal(65_536), False, "for rentals"),
    ),
    network="regtest",
    fee_bps=150,
    window=Decimal(8),
    maturity=100,
    threshold=Sat(1_000_000),
    lightning_minimum=Sat(10),
    link_minutes=10,
    metrics=True,
)


@attrs.define
class FakeAccounts:
    """Makes pool accounts; ``broken`` makes the next creations fail."""

    ledger: sqlite3.Connection
    broken: bool = False
    made: int = 0

    def create(self) -> tuple[str, str]:
        if self.broken:
            raise StoreError("the disk is full")
        self.made += 1
        name, secret = f"m-new{self.made}", f"{self.made:043d}"
        self.ledger.execute("INSERT INTO account VALUES (?, ?, 0)", (name, hash_secret(secret)))
        return name, secret


@attrs.frozen
class GrantingDesk(OwnerDesk):
    """The real desk, with a payer that answers as soon as a wish is filed, unless it is away."""

    payer: Callable[[], int]

    async def ask(self, account: str, wish: Wish) -> Verdict | None:
        filed = self.inbox.file(account, encode(wish), self.now_ms(), self.now_ms() + 5_000)
        self.payer()
        return self.answers.answer_to(filed)


@attrs.define
class Dice:
    """Bytes that are never the same twice, and always the same in another run."""

    thrown: int = 0

    def bytes(self, count: int) -> bytes:
        self.thrown += 1
        return hashlib.sha512(str(self.thrown).encode()).digest()[:count]


@attrs.define
class FakeClaims:
    """Terms that a test sets."""

    present: WithdrawTerms | None = attrs.Factory(lambda: WithdrawTerms(0, Sat(10), Sat(0)))

    def terms(self, account: str) -> WithdrawTerms | None:
        return self.present if account in {NAME, ADDRESS} else None

    def answered(self, k1_hash: str) -> Answer | None:
        return None

    async def file(
        self,
        *,
        account: str,
        token_expires_s: int,
        k1_hash: str,
        invoice: str,
        card: int = 0,
        notify: str | None = None,
    ) -> Answer | None:
        return None


@attrs.frozen
class Reply:
    """What came back over the wire."""

    status: int
    headers: Mapping[str, str]
    text: str
    cookies: tuple[str, ...] = ()

    @property
    def json(self) -> Any:
        return json.loads(self.text)


class Running:
    """A site, its store, its fakes, and a way to ask it."""

    def __init__(
        self,
        directory: Path,
        facts: Facts = FACTS,
        *,
        lightning: bool = True,
        claims: FakeClaims | None = None,
    ) -> None:
        self.shares = connect(directory, "shares")
        self.ledger = connect(directory, "ledger")
        self.accounts = FakeAccounts(self.ledger)
        self.claims = claims or FakeClaims()
        self.now_ms = NOW_MS
        self.payer_is_away = False
        self.logins = Gate(LOGINS, LOGINS_EACH)
        queries, inbox = Queries(directory), connect(directory, "inbox")
        self.site = Site(facts, queries, self.accounts, now_ms=lambda: self.now_ms, in_thread=maybeDeferred)
        self.wishes = WishInbox(inbox)
        self.granter = Granter(AccessBook(self.ledger), DestinationDesk(self.ledger), WISH_TERMS)
        self.desk = GrantingDesk(
            ClaimReader(self.ledger),
            DestinationDesk(self.ledger),
            self.wishes,
            WishAnswers(self.ledger),
            Clock(),
            lambda: self.now_ms,
            lambda: self.payer_is_away or answer_wishes(inbox, self.ledger, self.granter.answer, self.now_ms),
        )
        offered = self.claims if lightning else None
        around = Surroundings(
            facts, queries, self.desk, offered, KEY, lambda: self.now_ms, maybeDeferred, Dice().bytes
        )
        wallets = LnurlRoutes(
            self.claims,
            lambda: self.now_ms,
            WithdrawOptions(facts.public_url, facts.withdraw_text, CLAIM_TERMS),
            self.desk,
            lambda request: self.logins.take(self.now_ms, visitor(request)),
        )
        self.root = self.site.resource(
            OwnerPages(around).resource(), ProofPages(around).resource(), wallets.resource()
        )
        self.ledger.execute("INSERT INTO account VALUES (?, ?, 0)", (NAME, hash_secret(SECRET)))
        self.factory = AccessLog(self.root, reactor=MemoryReactorClock())  # type: ignore[no-untyped-call]

    def post(self, path: str, headers: Sequence[tuple[str, str]] = OWN_PAGE, /, **fields: str) -> Reply:
        return self.ask(path, "POST", headers, urlencode(fields))

    def ask(
        self, path: str, method: str = "GET", headers: Sequence[tuple[str, str]] = (), body: str = ""
    ) -> Reply:
        protocol = self.factory.buildProtocol(IPv4Address("TCP", "127.0.0.1", 1))  # type: ignore[no-untyped-call]
        assert protocol is not None
        transport = StringTransportWithDisconnection()  # type: ignore[no-untyped-call]
        transport.protocol = protocol
        protocol.makeConnection(transport)
        lines = [f"{method} {path} HTTP/1.1", "Host: pool.example", "Connection: close"]
        lines += [f"Content-Length: {len(body)}", "Content-Type: application/x-www-form-urlencoded"]
        lines += [f"{name}: {value}" for name, value in headers]
        protocol.dataReceived("\r\n".join([*lines, "", body]).encode())
        head, _, content = transport.value().partition(b"\r\n\r\n")  # type: ignore[no-untyped-call]
        first, *rest = head.decode().split("\r\n")
        found = dict(line.split(": ", 1) for line in rest)
        if found.get("Transfer-Encoding") == "chunked":
            content = _unchunked(content)
        cookies = tuple(line.split(": ", 1)[1] for line in rest if line.startswith("Set-Cookie: "))
        return Reply(int(first.split(" ")[1]), found, content.decode(), cookies)

    def fill(self) -> None:
        """Shares of an address and of a pool account, two blocks, rewards and payments of both ways."""
        hard = DIFFICULTY_1_TARGET >> 16
        self.shares.execute("INSERT INTO target VALUES (1, ?)", (hard.to_bytes(32, "big"),))
        nbits = 0x1A07FFF8  # 32 of these shares are a block's work
        add_shares(self.shares, ADDRESS, 40, NOW_MS - 120_000, "garage", nbits)
        add_shares(self.shares, NAME, 35, NOW_MS - 60_000, "bitaxe", nbits)
        add_found(self.shares, "a" * 64, 30, 840_000)
        add_found(self.shares, "b" * 64, 65, 840_001)
        self.ledger.executemany(
            "INSERT INTO block (hash, found_id, share_id, height, account, state, activations, confirmations,"
            " value_msat, found_ms, updated_ms) VALUES (?, ?, ?, ?, ?, ?, 1, ?, 312500000000, ?, ?)",
            [
                ("a" * 64, 1, 30, 840_000, ADDRESS, "mature", 120, NOW_MS, NOW_MS),
                ("b" * 64, 2, 65, 840_001, NAME, "immature", 40, NOW_MS, NOW_MS),
            ],
        )
        for account in (ADDRESS, NAME):
            miner = f"liabilities:miners:{account}"
            one, two = f"reward:{'a' * 64}:0:{account}", f"reward:{'b' * 64}:0:{account}"
            post(self.ledger, one, {f"{miner}:immature": -250_000_123, "assets:immature": 250_000_123})
            post(self.ledger, two, {f"{miner}:immature": -90_000_000, "assets:immature": 90_000_000})
            available = {f"{miner}:immature": 250_000_123, f"{miner}:available": -250_000_123}
            post(self.ledger, f"mature:{account}", available)
        self.ledger.execute(
            "INSERT INTO payment (claim_id, account, invoice, payment_hash, amount_msat, max_fee_msat,"
            " fee_msat, state, invoice_expires_s, created_ms, updated_ms)"
            " VALUES (1, ?, 'lnbcrt1', ?, 21000000, 100, 1500, 'settled', 0, ?, ?)",
            (NAME, "c" * 64, NOW_MS - 7_200_000, NOW_MS),
        )
        self.ledger.execute(
            "INSERT INTO batch VALUES (1, ?, 'raw', '[]', 200, 'broadcast', NULL, ?, ?)",
            ("d" * 64, NOW_MS - 600_000, NOW_MS),
        )
        self.ledger.execute("INSERT INTO batch_output VALUES (1, ?, ?, 1200000)", (ADDRESS, ADDRESS))

    def payable(self, maximum: int) -> None:
        """Let the pool account withdraw up to so many sat."""
        self.claims.present = WithdrawTerms(0, Sat(10), Sat(maximum))


def _unchunked(body: bytes) -> bytes:
    whole = b""
    while body:
        size, _, rest = body.partition(b"\r\n")
        length = int(size, 16)
        whole, body = whole + rest[:length], rest[length + 2 :] if length else b""
    return whole
