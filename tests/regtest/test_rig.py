from __future__ import annotations

import contextlib
import json
import ssl
import threading
import urllib.parse
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import trustme
from lnurl import encode

from pool.regtest import wallet
from pool.regtest.bitcoind import WHITELISTS
from pool.regtest.errors import RpcError
from pool.regtest.processes import wait_until
from pool.regtest.rig import POOL_SIDE_SAT, Rig

pytestmark = pytest.mark.regtest


@pytest.fixture
def aside() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as executor:
        yield executor


def pay_aside(aside: ThreadPoolExecutor, rig: Rig, invoice: str) -> Future[bool]:
    return aside.submit(rig.pool.pay, invoice)


def test_the_pools_node_owns_its_half_of_the_channel_and_nothing_on_the_chain(rig: Rig) -> None:
    assert rig.pool.onchain_sat() == 0
    channels = rig.pool.rpc("list_channels")
    assert [channel["capacity"] for channel in channels] == [2 * POOL_SIDE_SAT]
    assert rig.pool.lightning_sat() + rig.wallet.lightning_sat() == 2 * POOL_SIDE_SAT


@pytest.mark.parametrize(
    ("user", "method"),
    [
        ("front", "getnewaddress"),
        ("front", "listunspent"),
        ("book", "getblocktemplate"),
        ("book", "sendrawtransaction"),
        ("payer", "submitblock"),
        ("payer", "stop"),
    ],
)
def test_a_role_may_not_make_another_roles_call(rig: Rig, user: str, method: str) -> None:
    with pytest.raises(RpcError) as refused:
        rig.bitcoind.rpc(method, user=user)
    assert refused.value.status == 403


@pytest.mark.parametrize("user", sorted(WHITELISTS))
def test_a_role_may_make_every_call_on_its_list(rig: Rig, user: str) -> None:
    forbidden = [method for method in WHITELISTS[user] if not rig.bitcoind.may_call(user, method)]
    assert forbidden == []


def test_a_front_gets_a_template_of_full_size(rig: Rig) -> None:
    template = rig.bitcoind.rpc("getblocktemplate", {"rules": ["segwit"]}, user="front")
    assert template["weightlimit"] == 4_000_000
    assert template["coinbasevalue"] > 0


def test_a_payment_moves_exactly_its_amount_in_each_direction(rig: Rig) -> None:
    before = (rig.pool.lightning_sat(), rig.wallet.lightning_sat())
    assert rig.pool.pay(rig.wallet.invoice(1500))
    assert rig.wallet.pay(rig.pool.invoice(400))
    wait_until(
        "both ends show it",
        lambda: (
            (rig.pool.lightning_sat(), rig.wallet.lightning_sat()) == (before[0] - 1100, before[1] + 1100)
        ),
        10,
    )


def test_a_held_payment_waits_and_goes_through_when_it_is_settled(
    rig: Rig, aside: ThreadPoolExecutor
) -> None:
    held = wallet.hold_invoice(rig.wallet, 700)
    payment = pay_aside(aside, rig, held.invoice)
    wait_until("it is held", lambda: wallet.hold_status(rig.wallet, held) == "paid", 20)
    assert not payment.done()
    wallet.settle(rig.wallet, held)
    assert payment.result(30) is True
    assert wallet.hold_status(rig.wallet, held) == "settled"
    assert wallet.received_msat(rig.wallet, held.payment_hash) == 700_000


def test_a_held_payment_that_is_cancelled_fails_and_costs_nothing(
    rig: Rig, aside: ThreadPoolExecutor
) -> None:
    before = rig.pool.lightning_sat()
    held = wallet.hold_invoice(rig.wallet, 700)
    payment = pay_aside(aside, rig, held.invoice)
    wait_until("it is held", lambda: wallet.hold_status(rig.wallet, held) == "paid", 20)
    wallet.cancel(rig.wallet, held)
    assert payment.result(30) is False
    assert wallet.received_msat(rig.wallet, held.payment_hash) == 0
    wait_until("the money is back", lambda: rig.pool.lightning_sat() == before, 10)


def test_the_pools_node_keeps_its_channel_over_kill_9(rig: Rig) -> None:
    before = rig.pool.lightning_sat()
    rig.pool.kill()
    assert not rig.pool.program.running
    rig.pool.start()
    rig.wait_for_channel()
    assert rig.pool.lightning_sat() == before
    assert rig.pool.pay(rig.wallet.invoice(100))


def test_bitcoind_keeps_mined_blocks_over_kill_9(rig: Rig) -> None:
    tip = rig.mine(2)[-1]
    rig.bitcoind.kill()
    rig.bitcoind.start()
    assert rig.bitcoind.rpc("getbestblockhash") == tip


class LnurlService:
    """The least that a withdrawal needs of a pool: an offer at one path, a callback that pays at another."""

    def __init__(self, directory: Path) -> None:
        authority = trustme.CA()
        self.ca_path = directory / "ca.pem"
        authority.cert_pem.write_to_path(str(self.ca_path))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        self.invoices: list[str] = []
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self.routes())
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.server.server_address[1]}"

    def answer(self, path: str, query: dict[str, list[str]]) -> dict[str, object]:
        if path == "/cb" and query["k1"] == ["once"]:
            self.invoices += query["pr"]
            return {"status": "OK"}
        if path == "/offer":
            limits = {"minWithdrawable": 10_000, "maxWithdrawable": 250_000}
            callback = {"callback": f"{self.url}/cb", "k1": "once", "defaultDescription": "shares"}
            return {"tag": "withdrawRequest", **callback, **limits}
        return {"status": "ERROR", "reason": "this link has been used"}

    def routes(self) -> type[BaseHTTPRequestHandler]:
        service = self

        class Routes(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                url = urllib.parse.urlsplit(self.path)
                body = json.dumps(service.answer(url.path, urllib.parse.parse_qs(url.query))).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        return Routes


@pytest.fixture
def service(tmp_path: Path) -> Iterator[LnurlService]:
    made = LnurlService(tmp_path)
    thread = threading.Thread(target=made.server.serve_forever)
    thread.start()
    with contextlib.closing(made.server.socket):
        yield made
        made.server.shutdown()
    thread.join()


def test_the_miners_wallet_withdraws_by_lnurl_and_its_books_show_what_came(
    rig: Rig, service: LnurlService
) -> None:
    link = str(encode(f"{service.url}/offer").bech32)
    withdrawal = wallet.withdraw(rig.wallet, link, service.ca_path, 123)
    assert withdrawal.amount_msat == 123_000
    assert service.invoices == [withdrawal.invoice]
    assert wallet.received_msat(rig.wallet, withdrawal.payment_hash) == 0
    assert rig.pool.pay(withdrawal.invoice)
    assert wallet.received_msat(rig.wallet, withdrawal.payment_hash) == 123_000


def test_a_withdrawal_that_names_no_amount_takes_all_that_is_offered(rig: Rig, service: LnurlService) -> None:
    link = "lightning:" + str(encode(f"{service.url}/offer").bech32)
    assert wallet.withdraw(rig.wallet, link, service.ca_path).amount_msat == 250_000


def test_a_link_that_the_pool_refuses_shows_the_pools_reason(rig: Rig, service: LnurlService) -> None:
    link = str(encode(f"{service.url}/used").bech32)
    with pytest.raises(wallet.WithdrawRefused, match="this link has been used"):
        wallet.withdraw(rig.wallet, link, service.ca_path)


def test_a_wallet_refuses_more_than_is_offered(rig: Rig, service: LnurlService) -> None:
    link = str(encode(f"{service.url}/offer").bech32)
    with pytest.raises(wallet.WithdrawRefused, match="between 10 and 250 sat"):
        wallet.withdraw(rig.wallet, link, service.ca_path, 251)
    assert service.invoices == []
