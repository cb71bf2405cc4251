"""Real wallets open accounts, withdraw from cards and fast links, and are paid at Lightning Addresses."""

from __future__ import annotations

import base64
import re
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import attrs
import pytest
import trustme
from twisted.logger import capturedLogs

from payouts import lnurl, signed
from payouts.invoice import decode
from payouts.lnurl import bech32_link, make_token
from payouts.money import Msat
from payouts.values import Answer, Claim, PaymentState
from pool import ledger
from pool.accounts import output_script
from pool.cli.daemon import make_server_key
from pool.demo import scene
from pool.demo.scene import BATCH_CONFIRMATIONS
from pool.regtest import wallet
from pool.regtest.electrum import sat
from pool.regtest.rig import BANK, Rig
from pool.store.access import AccessBook
from pool.store.database import connect
from pool.store.destinations import DestinationDesk
from pool.store.inbox import InboxStore
from pool.store.ledger import LedgerStore
from tests.payouts.strangers import HOST
from tests.pool.test_web_owners import SETTINGS, code_on
from tests.pool.web_site import FACTS, SECRET, FakeClaims, Running
from tests.regtest.address_service import AddressService, Payer, payer_role, turn_until
from tests.regtest.payer_bench import Books, assert_paid_once
from tests.regtest.payer_reactor import rest

TEXT = signed.ownership_message("https://pool.example", "me", "0" * 32, 1_800_000_000)


def script_of(address: str) -> bytes:
    script = output_script(address, "regtest")
    assert script is not None
    return script


def signed_by_core(rig: Rig, address: str, text: str) -> str:
    """BIP 322, simple, with Bitcoin Core's wallet: it signs the virtual transaction as any other."""
    script = script_of(address)
    spent = signed._to_spend(script, text)
    source, output = spent + bytes(4) + b"\x00" + bytes(4), bytes(8) + b"\x01\x6a"
    raw = bytes(4) + b"\x01" + source + b"\x01" + output + bytes(4)
    coin = {"txid": spent[::-1].hex(), "vout": 0, "scriptPubKey": script.hex(), "amount": 0}
    done = rig.bitcoind.rpc("signrawtransactionwithwallet", raw.hex(), [coin], wallet="owners")
    assert done["complete"]
    stack = rig.bitcoind.rpc("decoderawtransaction", done["hex"])["vin"][0]["txinwitness"]
    items = [bytes.fromhex(item) for item in stack]
    return base64.b64encode(
        bytes([len(items)]) + b"".join(bytes([len(item)]) + item for item in items)
    ).decode()


@pytest.mark.parametrize("kind", ["bech32", "bech32m", "p2sh-segwit", "legacy"])
def test_bitcoin_cores_signature_is_good_for_its_address_and_text_alone(rig: Rig, kind: str) -> None:
    rig.bitcoind.open_wallet("owners")
    address, other = (str(rig.bitcoind.rpc("getnewaddress", "", kind, wallet="owners")) for _ in range(2))
    if kind == "legacy":
        signature = str(rig.bitcoind.rpc("signmessage", address, TEXT, wallet="owners"))
    else:
        signature = signed_by_core(rig, address, TEXT)
    assert signed.objection(script_of(address), TEXT, signature) is None
    assert signed.objection(script_of(address), TEXT + " ", signature) is not None
    assert signed.objection(script_of(other), TEXT, signature) is not None


def test_electrums_signature_is_good_for_its_segwit_address(rig: Rig) -> None:
    address = rig.wallet.address()
    signature = str(rig.wallet.rpc("signmessage", address=address, message=TEXT))
    assert signed.objection(script_of(address), TEXT, signature) is None


@attrs.define
class TakingClaims(FakeClaims):
    """Takes every claim, and remembers with which card it came."""

    cards: list[int] = attrs.Factory(list)

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
        self.cards.append(card)
        return Answer(invoice, taken=True, state=PaymentState.RESERVED, reason=None)


@contextmanager
def https(directory: Path) -> Iterator[tuple[Running, TakingClaims, Path]]:
    """The whole site with its wallets' routes, over real TLS on loopback."""
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.cert_pem.write_to_path(str(directory / "ca.pem"))
    authority.issue_cert("127.0.0.1").configure_cert(context)
    served: list[Running] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = served[0].ask(self.path).text.encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        facts = attrs.evolve(FACTS, public_url=f"https://127.0.0.1:{server.server_port}")
        claims = TakingClaims()
        served.append(Running(directory / "store", facts, claims=claims))
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        served[0].now_ms = int(time.time() * 1000)
        try:
            yield served[0], claims, directory / "ca.pem"
        finally:
            server.shutdown()
            thread.join()


def test_electrum_withdraws_from_a_card_and_from_a_fast_link(rig: Rig, tmp_path: Path) -> None:
    with https(tmp_path) as (running, claims, ca_path):
        running.payable(300)
        running.post(SETTINGS, do="card")
        number = running.desk.access.card_number("m-k3x9q2ab")
        assert claims.present is not None
        claims.present = attrs.evolve(claims.present, card=number, balance=Msat(500_000))
        card = code_on(running.ask(SETTINGS))
        assert wallet.withdraw(rig.wallet, bech32_link(card), ca_path).amount_msat == 300_000
        fast = re.search(r'href="(lightning:LNURL1[0-9A-Z]+)"', running.ask(f"/a/{SECRET}").text)
        assert fast is not None
        assert wallet.withdraw(rig.wallet, fast[1], ca_path, 120).amount_msat == 120_000
        claims.present = attrs.evolve(claims.present, card=number + 1)
        with pytest.raises(wallet.WithdrawRefused, match="this card was revoked"):
            wallet.withdraw(rig.wallet, bech32_link(card), ca_path)
        assert claims.cards == [number, 0]


@pytest.fixture(scope="module", autouse=True)
def _threads() -> Iterator[None]:
    yield
    rest()


WAKE = f"https://{HOST}/wake?token=t0psecret"
PUSHED_TO, TOLD_AT, FULL = "alice", "carol", "bob"
FULL_BALANCE = Msat(1_500_000_000)


@contextmanager
def paying(rig: Rig, directory: Path) -> Iterator[tuple[Books, AddressService, Payer]]:
    """Books with three miners, a service of Lightning Addresses, and the payer's whole role between them."""
    stage, key = scene.build(rig, directory), make_server_key(directory / "data").read_bytes()
    text = stage.config.read_text(encoding="utf-8").replace("\ninterval_s = 5.0", "\ninterval_s = 1.0")
    more = "\n[payouts]\npush_above_sat = 1000\npush_tries = 2\nbalance_notify = true\n"
    stage.config.write_text(text + more, encoding="utf-8")
    books = Books(directory / "data", {PUSHED_TO: 5_000_000, TOLD_AT: 900_000, FULL: FULL_BALANCE}, key)
    rig.bitcoind.open_wallet("sluice")
    here = rig.bitcoind.rpc("getnewaddress", wallet="sluice")
    rig.bitcoind.rpc("sendtoaddress", here, "0.1", wallet=BANK)
    rig.mine()
    service = AddressService(rig.wallet, broken={FULL})
    with payer_role(stage.config, service) as payer:
        yield books, service, payer


def moved_by_node(rig: Rig, payment_hash: str) -> int:
    """What the paying node's own history says that a payment took from it, msat with its fee."""
    history = rig.pool.rpc("lightning_history")
    return -sum(int(entry["amount_msat"]) for entry in history if entry["payment_hash"] == payment_hash)


def test_a_payer_pushes_to_a_lightning_address_and_what_fails_twice_goes_on_chain(
    rig: Rig, tmp_path: Path
) -> None:
    with paying(rig, tmp_path) as (books, service, payer):
        onchain = rig.bitcoind.rpc("getnewaddress", wallet=BANK)
        books.push_to(f"{PUSHED_TO}@{HOST}", PUSHED_TO)
        books.push_to(f"{FULL}@{HOST}", FULL)
        with books.open() as connection:
            destinations = DestinationDesk(connection)
            destinations.ask(FULL, "onchain", onchain, by="a test", now_ms=0, wait_ms=0)
        turn_until(lambda: [payment.state for payment in books.payments(PUSHED_TO)] == ["settled"])

        (invoice,), (payment,) = service.invoices[PUSHED_TO], books.payments(PUSHED_TO)
        assert decode(invoice).payment_hash == payment.payment_hash
        # all of the balance but the worst fee, whole sats: 4,945 sat, 5 sat and 1 % of it
        assert payment.amount == 4_945_000
        assert [target for target in service.asked if PUSHED_TO in target] == [
            f"/.well-known/lnurlp/{PUSHED_TO}",
            f"/pay?user={PUSHED_TO}&amount=4945000",
        ]
        assert_paid_once(rig, books, payment.amount, PUSHED_TO)
        assert payment.fee is not None
        assert moved_by_node(rig, payment.payment_hash) == payment.amount + payment.fee
        assert -books.moved(ledger.LIGHTNING) == payment.amount + payment.fee

        def failures() -> int:
            return sum(target.startswith(f"/pay?user={FULL}&") for target in service.asked)

        turn_until(lambda: failures() == 1)
        assert books.held(FULL) == 0
        payer.ahead_s += 61  # the pause after the first failure
        turn_until(lambda: failures() == 2)
        turn_until(rig_has(rig, onchain))
        rig.mine(BATCH_CONFIRMATIONS)
        turn_until(lambda: books.debited(FULL) == FULL_BALANCE)
        received = rig.bitcoind.rpc("getreceivedbyaddress", onchain, 1, wallet=BANK)
        assert sat(str(received)) * 1000 == FULL_BALANCE
        assert books.payments(FULL) == []
        assert failures() == 2
        assert FULL not in service.invoices


def test_a_cards_wallet_is_told_of_the_next_reward_and_of_nothing_else(rig: Rig, tmp_path: Path) -> None:
    with paying(rig, tmp_path) as (books, service, _), capturedLogs() as events:
        invoice = rig.wallet.invoice(400)
        with books.open() as connection:
            AccessBook(connection).make_card(TOLD_AT, "1" * 32, 0)
            card = AccessBook(connection).card_number(TOLD_AT)
        token = make_token(books.key, TOLD_AT, 0, card)
        now_ms = int(time.time() * 1000)
        k1_hash = lnurl.k1_hash(lnurl.k1(books.key, token, 0))
        with closing(connect(books.directory, "inbox")) as inbox:
            filed = Claim(0, TOLD_AT, 0, k1_hash, invoice, now_ms, now_ms + 20_000, card, WAKE)
            InboxStore(inbox).file(filed)
        turn_until(lambda: [payment.state for payment in books.payments(TOLD_AT)] == ["settled"])
        with books.open() as connection:
            moves = [(ledger.HOT, 300_000), (ledger.miner(TOLD_AT, "available"), -300_000)]
            LedgerStore(connection).post(ledger.entry("mature:next", "mature", {}, moves), now_ms)
        turn_until(lambda: service.notified)
        turn_until(lambda: "was told of its balance" in repr(events))
    (request,) = service.notified
    assert request.startswith(b"POST /wake?token=t0psecret HTTP/1.1\r\n")
    assert "t0psecret" not in repr(events)
    with books.open() as connection:
        (seen, failures) = connection.execute("SELECT seen_msat, failures FROM notice").fetchone()
    assert (seen, failures) == (800_000, 0)


def rig_has(rig: Rig, address: str) -> Callable[[], bool]:
    """Whether the mempool has a transaction that pays to an address."""
    return lambda: bool(rig.bitcoind.rpc("getreceivedbyaddress", address, 0, wallet=BANK))
