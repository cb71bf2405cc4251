"""Real wallets' signatures open accounts, and a real wallet withdraws from a card and from a fast link."""

from __future__ import annotations

import base64
import re
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import attrs
import pytest
import trustme

from payouts import signed
from payouts.lnurl import bech32_link
from payouts.money import Msat
from payouts.values import Answer, PaymentState
from pool.accounts import output_script
from pool.regtest import wallet
from pool.regtest.rig import Rig
from tests.pool.test_web_owners import SETTINGS, code_on
from tests.pool.web_site import FACTS, SECRET, FakeClaims, Running

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
