"""The whole way in one process and no time at all: a share becomes a block, rewards, and a paid invoice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.testing import StringTransport

from payouts import lnurl
from payouts.money import Msat
from payouts.sender import Sender, SenderOptions
from payouts.values import Answer, Payment, PaymentState
from pool import ledger
from pool.accounts import Doorkeeper
from pool.block_proofs import ProofKeeper, Reading
from pool.chain import block, template
from pool.chain.bitcoind import header_evidence
from pool.chain.headers import Evidence
from pool.chain.node import Accepted, ChainInfo, CoinbaseOutput, HeaderInfo, Refused, SubmitResult
from pool.chain.template import Template
from pool.claims import Desk
from pool.committing import Committing
from pool.config import LightningConfig
from pool.jobs import Settings
from pool.proof.blockproof import BlockProof
from pool.proof.check import check_text
from pool.rewards.policy import Policy, Scheme
from pool.settle import Settler
from pool.sharelog import ShareLog
from pool.statements import Made, receipt_of, statement_of
from pool.store.blocks import BlockState
from pool.store.claims import ClaimReader
from pool.store.database import connect, connect_to_read
from pool.store.inbox import ClaimQueue, InboxReader, InboxStore
from pool.store.ledger import LedgerStore
from pool.store.log_tree import LeafReader, LogTable, newest_output
from pool.store.payments import SqliteBook
from pool.store.queries import Queries
from pool.store.shares import ShareStore
from pool.store.stock import payees
from pool.store.windows import ShareWindows
from pool.verify import verify
from pool.work import Work
from stratum.options import Options
from stratum.server import StratumServer
from stratum.units import Height, Target, target_from_nbits
from tests.fakes_chain import Chain
from tests.fakes_mining import QuietNode
from tests.flow.front import SCRIPTS, prepare_store
from tests.payouts.fakes import KEY, TERMS, FakeNode, Time, result_of
from tests.payouts.invoices import MADE_S, invoice, payment_hash, preimage
from tests.stratum.fakes import find_nonce, line, lines

NBITS = 0x200FFFFF
"""One hash in 16 is a block; shares are easier, one in 2."""
NETWORK = target_from_nbits(NBITS)
SHARE = Target((1 << 255) - 1)
MATURITY = 100
LIGHTNING_MSAT = Msat(10**12)
COINBASE_MSAT = 312_500_000_000
EACH_MSAT = (COINBASE_MSAT - COINBASE_MSAT // 100) // 2
SAT = 2_500
FEE_MSAT = 7


class ChainNode(QuietNode):
    """pool.chain.node.Node straight on the stand-in's chain, without a wire."""

    name = "chain:0"

    def __init__(self, chain: Chain) -> None:
        self.chain = chain

    async def template(self, longpoll_id: str | None) -> Template:
        if longpoll_id is not None:
            await Deferred()  # nobody answers: the poll has to do
        return template.parse(self.chain.template())

    async def submit(self, block_hex: str) -> SubmitResult:
        word = self.chain.submit(bytes.fromhex(block_hex))
        return Accepted() if word is None else Refused(word)

    async def header(self, block_hash: str) -> HeaderInfo | None:
        found = self.chain.blocks.get(block_hash)
        if found is None:
            return None
        depth = self.chain.tip.height - found.height + 1 if found in self.chain.active else -1
        return HeaderInfo(found.hash, Height(found.height), depth, found.prev_hash, found.time_s)

    async def evidence(self, block_hash: str) -> Evidence | None:
        found = self.chain.header(block_hash)
        return None if found is None else header_evidence(found)

    async def block_outputs(self, block_hash: str) -> tuple[CoinbaseOutput, ...]:
        return block.coinbase_outputs(self.chain.blocks[block_hash].raw)

    async def tip(self) -> str:
        return self.chain.tip.hash

    async def chain_info(self) -> ChainInfo:
        tip = self.chain.tip
        return ChainInfo("regtest", Height(tip.height), tip.hash, tip.height, syncing=False)


class CommitTimes:
    def commit_seconds(self, seconds: float) -> None:
        """Nobody counts."""


class Wire:
    """A miner's end of a connection to the server."""

    def __init__(self, server: StratumServer, user: str) -> None:
        connection = server.factory.buildProtocol(None)
        assert connection is not None
        self._connection = connection
        self._transport = StringTransport()  # type: ignore[no-untyped-call]
        self._user = user
        connection.makeConnection(self._transport)  # type: ignore[no-untyped-call]
        hello = self.say(line("mining.subscribe", "test") + line("mining.authorize", user, "x", request_id=2))
        self._extranonce1: str = hello[0]["result"][1]
        self._job: list[Any] = next(each["params"] for each in hello if each.get("method") == "mining.notify")

    def say(self, data: bytes) -> list[dict[str, Any]]:
        self._transport.clear()  # type: ignore[no-untyped-call]
        self._connection.dataReceived(data)
        return self.heard()

    def heard(self) -> list[dict[str, Any]]:
        return lines(self._transport.value())  # type: ignore[no-untyped-call]

    def submit(self, wanted: Callable[[int], bool]) -> list[dict[str, Any]]:
        """Send a share whose hash is wanted; what the pool says to it at once."""
        nonce = find_nonce(self._job, self._extranonce1, wanted)
        params = (self._user, self._job[0], "00" * 8, self._job[7], nonce)
        return self.say(line("mining.submit", *params, request_id=9))


class House:
    """All roles of a pool on real files and one clock."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.time = Time()
        self.chain = Chain(NBITS)
        self.lightning = FakeNode(fee=FEE_MSAT)
        prepare_store(self.directory)
        self.shares = connect(self.directory, "shares")
        self.ledger = connect(self.directory, "ledger")
        self.inbox = connect(self.directory, "inbox")
        self.books = LedgerStore(self.ledger)
        self.node = ChainNode(self.chain)
        self._open_front()
        self._open_payer()

    def _open_front(self) -> None:
        clock, now_ms = self.time.clock, self.time.now_ms
        store = ShareStore(self.shares, 0)
        log = ShareLog(store, clock, now_ms, CommitTimes(), timer=lambda: 0.0)
        pays = payees(self.ledger, store.used_addresses, 0)
        settings = Settings(0, store.boot(now_ms()), "/test/", self.directory)
        fixes = newest_output(connect_to_read(self.directory, "ledger"))
        self.work = Work([self.node], pays, log.submitted, settings, clock, fixes=fixes)
        log.save_with(self.work.solve)
        self.work.start()
        easy = Fraction(1, 1 << 40)
        options = Options(start_difficulty=easy, minimum_difficulty=easy, vardiff=False)
        keeper = Doorkeeper("regtest", ClaimReader(self.ledger).account_exists)
        self.server = StratumServer(self.work, log, keeper, clock, options, lambda: now_ms() / 1000)

    def _open_payer(self) -> None:
        now_ms = self.time.now_ms
        self.book = SqliteBook(self.ledger, lambda account: account.startswith("bcrt1"))
        claims = ClaimQueue(InboxReader(self.inbox), self.ledger, now_ms)
        options = SenderOptions(terms=TERMS)
        self.sender = Sender(self.book, claims, self.lightning, self.time.clock, now_ms, options)
        self.sender.start()
        limits = LightningConfig(user="electrum", password="not asked here")
        self.desk = Desk(
            ClaimReader(self.ledger), InboxStore(self.inbox), limits, self.time.clock, self.time.now_ms
        )

    def close(self) -> None:
        self.work.stop()
        self.sender.stop()
        for connection in (self.shares, self.ledger, self.inbox):
            connection.close()

    def settle(self) -> list[BlockState]:
        """One step of the book; the new states of blocks whose state changed."""
        changes = result_of(self.settler.step())
        return [change.block.state for change in changes]

    @property
    def settler(self) -> Settler:
        windows = ShareWindows(self.shares)
        wanted = {"pool": Policy(Fraction(8), 100), "solo": Policy(Fraction(8), 50, Scheme.SOLO)}
        self.books.adopt(wanted, windows.newest(), self.time.now_ms())
        return Settler(self.books, windows, self.node, MATURITY, self.time.now_ms)

    def withdraw(self, account: str, text: str) -> Answer:
        """What a wallet is told that presents an invoice, with the k1 that its link shows now."""
        terms = self.desk.terms(account)
        assert terms is not None
        expires_s = MADE_S + 600
        token = lnurl.make_token(KEY, account, expires_s)
        secret = lnurl.k1(KEY, token, terms.claims_taken)
        told: list[Answer | None] = []
        filed = Deferred.fromCoroutine(
            self.desk.file(
                account=account, token_expires_s=expires_s, k1_hash=lnurl.k1_hash(secret), invoice=text
            )
        )
        filed.addCallback(told.append)
        self.time.pass_s(2)
        assert told
        assert told[0] is not None
        return told[0]

    def payments(self) -> list[Payment]:
        return list(self.book.payments())

    def difference(self) -> list[str]:
        """What the audit has to say, through connections of its own."""
        shares, books = (connect_to_read(self.directory, name) for name in ("shares", "ledger"))
        report = verify(shares, books)
        shares.close()
        books.close()
        return list(report.differences)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    yield made
    made.close()


def mine_a_block(house: House) -> str:
    """One share of bravo's, then one of alpha's that is a block; the block's hash."""
    alpha, bravo = (Wire(house.server, f"{name}.rig") for name in ("alpha", "bravo"))
    assert bravo.submit(lambda value: NETWORK < value <= SHARE) == []
    assert alpha.submit(lambda value: value <= NETWORK) == []
    house.time.pass_s(0.1)
    for miner in (alpha, bravo):
        assert miner.heard()[0] == {"id": 9, "result": True, "error": None}
    ((block_hash,),) = house.shares.execute("SELECT hash FROM found").fetchall()
    return str(block_hash)


def test_one_share_becomes_one_paid_invoice_and_the_audit_agrees(house: House) -> None:
    block_hash = mine_a_block(house)
    assert house.chain.tip.hash == block_hash
    rows = house.shares.execute("SELECT account, worker FROM share ORDER BY id").fetchall()
    assert rows == [("bravo", "rig"), ("alpha", "rig")]
    best = {name: Queries(house.directory).bests.account(name).ever for name in ("alpha", "bravo")}
    assert best["alpha"] is not None
    assert best["bravo"] is not None
    assert best["alpha"].hash == block_hash
    assert NETWORK < best["bravo"].target <= SHARE
    paid_to = result_of(house.node.block_outputs(block_hash))[0]
    assert (paid_to.script, paid_to.value) == (SCRIPTS[0], COINBASE_MSAT // 1000)

    assert house.settle() == [BlockState.IMMATURE]
    for _ in range(MATURITY - 2):
        house.chain.grow()
    assert house.settle() == []
    assert house.withdraw("alpha", invoice(1, sat=SAT)).taken is False
    house.chain.grow()
    assert house.settle() == [BlockState.MATURE]
    for name in ("alpha", "bravo"):
        assert house.book.available(name) == EACH_MSAT

    house.books.post(ledger.deposit("opening", "lightning", LIGHTNING_MSAT), house.time.now_ms())
    answer = house.withdraw("alpha", invoice(2, sat=SAT))

    assert answer.taken
    (payment,) = house.payments()
    assert (payment.state, payment.preimage) == (PaymentState.SETTLED, preimage(2))
    assert house.lightning.paid == {payment_hash(2): SAT * 1000 + FEE_MSAT}
    assert house.book.available("alpha") == EACH_MSAT - SAT * 1000 - FEE_MSAT
    assert house.book.available("bravo") == EACH_MSAT
    assert house.books.balance(ledger.LIGHTNING) == LIGHTNING_MSAT - SAT * 1000 - FEE_MSAT
    assert sum(house.books.balances().values()) == 0
    assert house.difference() == []


def test_the_same_invoice_again_is_not_paid_again_and_the_rest_is_still_there(house: House) -> None:
    mine_a_block(house)
    house.books.post(ledger.deposit("opening", "lightning", LIGHTNING_MSAT), house.time.now_ms())
    for _ in range(MATURITY):
        house.chain.grow()
    assert house.settle() == [BlockState.IMMATURE, BlockState.MATURE]
    assert house.withdraw("bravo", invoice(3, sat=SAT)).taken

    again = house.withdraw("alpha", invoice(3, sat=SAT))

    assert not again.taken
    assert again.reason is not None
    assert "presented before" in again.reason
    assert len(house.lightning.paid) == 1
    assert house.book.available("alpha") == EACH_MSAT
    assert house.withdraw("alpha", invoice(4, sat=SAT)).taken
    assert len(house.payments()) == len(house.lightning.paid) == 2
    assert house.difference() == []


def test_a_block_that_goes_and_comes_back_is_paid_for_once(house: House) -> None:
    mine_a_block(house)
    assert house.settle() == [BlockState.IMMATURE]
    ours = house.chain.active.pop()
    house.chain.grow()
    assert house.settle() == [BlockState.ORPHANED]
    assert house.books.balance(ledger.miner("alpha", "immature")) == 0
    assert house.difference() == []

    house.chain.active[-1:] = [ours]
    for _ in range(MATURITY):
        house.chain.grow()
    assert house.settle() == [BlockState.IMMATURE, BlockState.MATURE]

    assert house.book.available("alpha") == house.book.available("bravo") == EACH_MSAT
    assert house.books.balance(ledger.HOT) == COINBASE_MSAT
    assert house.difference() == []


def test_the_block_that_pays_a_share_proves_it_to_who_has_only_the_block(house: House) -> None:
    assert Wire(house.server, "bravo.rig").submit(lambda value: NETWORK < value <= SHARE) == []
    house.time.pass_s(0.1)
    assert house.settle() == []  # the policies are in the journal
    committing = Committing(LogTable(house.ledger), LeafReader(house.shares))
    assert committing.grow(house.time.now_ms()) is False
    assert committing.commit(house.time.now_ms()) is not None
    house.chain.grow()
    house.time.pass_s(30)  # a job on the new tip, which fixes the share
    assert Wire(house.server, "alpha.rig").submit(lambda value: value <= NETWORK) == []
    house.time.pass_s(0.1)
    assert house.settle() == [BlockState.IMMATURE]

    async def read(reading: Reading, path: Path) -> BlockProof | str:
        return reading(path)

    result_of(ProofKeeper(house.directory, house.ledger, house.shares, read).step())
    block_hash = house.chain.tip.hash
    for made in (
        receipt_of(house.directory, "bravo", 1),
        statement_of(house.directory, "bravo", block_hash),
        statement_of(house.directory, "alpha", block_hash),
    ):
        assert isinstance(made, Made), made
        verdict = check_text(made.text, block_hash)
        assert verdict.ok, verdict.lines()
    assert house.difference() == []
