"""A node stand-in over real HTTP: templates with as hard a target as a test wants, and blocks it checks.

A real node on regtest makes every share a block; this one can serve mainnet's difficulty, so that load tests
get shares.  It keeps a chain, a mempool of made-up transactions, longpoll and the BIP 22 words, and it passes
the contract of tests/contracts/node.py with the real adapter talking to it.

Run it alone with ``python -m tests.fakes_node --port 8332``: it prints its URL, user and password as JSON.
"""

from __future__ import annotations

import argparse
import base64
import json
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

from tests.fakes_chain import EASY, Chain, Entry, RpcRefusal

HARD = 0x17034219  # mainnet's at the end of 2023: no test finds a block by accident
USER, PASSWORD = "front", "stand-in-password"
__all__ = ["EASY", "HARD", "PASSWORD", "USER", "StandIn"]


class StandIn:
    """The HTTP server around a chain; use it as a context manager, or start() and stop()."""

    def __init__(self, nbits: int = HARD, port: int = 0) -> None:
        self.chain = Chain(nbits)
        self._port = port
        self._server: _Server | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Listen, on the same port as before."""
        self.chain.silent = False
        server = self._server = _Server(("127.0.0.1", self._port), _Handler)
        server.chain = self.chain
        self._port = server.server_address[1]
        # a short poll, since stop() waits for it
        threading.Thread(target=lambda: server.serve_forever(poll_interval=0.01), daemon=True).start()

    def stop(self) -> None:
        """Stop listening and let longpolls go; the chain stays."""
        if self._server is None:
            return
        with self.chain.changed:
            self.chain.silent = True
            self.chain.changed.notify_all()
        self._server.shutdown()
        self._server.server_close()
        self._server = None

    def __enter__(self) -> StandIn:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    chain: Chain


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        expected = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if self.headers.get("Authorization") != expected:
            self._answer(401, b"", "text/html")
            return
        request = json.loads(body)
        if request["method"] in self.server.chain.forbidden:
            self._answer(403, b"", "text/html")
            return
        result, error = None, None
        try:
            result = self._call(request["method"], request["params"])
        except RpcRefusal as refusal:
            error = {"code": refusal.code, "message": refusal.message}
        document = {"result": result, "error": error, "id": request["id"]}
        self._answer(500 if error else 200, json.dumps(document).encode(), "application/json")

    def _answer(self, status: int, body: bytes, content_type: str) -> None:
        if self.server.chain.silent:  # gone in the meantime: no answer, as from a node that was killed
            return
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _call(self, method: str, params: list[Any]) -> Any:
        chain = self.server.chain
        calls: dict[str, Callable[..., Any]] = {
            "getblocktemplate": self._template,
            "submitblock": self._submit,
            "getblockheader": self._header,
            "getblock": self._block,
            "getblockstats": self._stats,
            "getbestblockhash": lambda: chain.tip.hash,
            "getblockcount": lambda: chain.tip.height,
            "getblockhash": self._hash,
            "getblockchaininfo": self._info,
            "getnetworkinfo": lambda: {"connections": 8},
        }
        if method not in calls:
            raise RpcRefusal(-32601, "Method not found")
        return calls[method](*params)

    def _template(self, request: dict[str, Any]) -> Any:
        if "segwit" not in request.get("rules", []):
            raise RpcRefusal(-8, "getblocktemplate must be called with the segwit rule set")
        if request.get("mode") == "proposal":
            return self.server.chain.propose(bytes.fromhex(request["data"]))
        if "longpollid" in request:
            self.server.chain.wait_for_change(request["longpollid"])
        return self.server.chain.template()

    def _submit(self, block_hex: str) -> Any:
        try:
            raw = bytes.fromhex(block_hex)
        except ValueError:
            raise RpcRefusal(-22, "Block decode failed") from None
        return self.server.chain.submit(raw)

    def _entry(self, block_hash: str) -> Entry:
        found = self.server.chain.blocks.get(block_hash)
        if found is None:
            raise RpcRefusal(-5, "Block not found")
        return found

    def _header(self, block_hash: str) -> Any:
        found = self.server.chain.header(block_hash)
        if found is None:
            raise RpcRefusal(-5, "Block not found")
        return found

    def _block(self, block_hash: str, _verbosity: int) -> Any:
        return self._entry(block_hash).raw.hex()

    def _stats(self, block_hash: str, wanted: list[str]) -> Any:
        entry, fees = self._entry(block_hash), self.server.chain.fees
        known = {"blockhash": entry.hash, "height": entry.height, "totalfee": fees.get(block_hash, 0)}
        return {name: known[name] for name in wanted}

    def _hash(self, height: int) -> Any:
        for entry in self.server.chain.active:
            if entry.height == height:
                return entry.hash
        raise RpcRefusal(-8, "Block height out of range")

    def _info(self) -> Any:
        tip = self.server.chain.tip
        return {
            "chain": "regtest",
            "blocks": tip.height,
            "headers": tip.height,
            "bestblockhash": tip.hash,
            "initialblockdownload": False,
        }

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def main() -> None:
    """Serve until interrupted; the URL, user and password go to stdout."""
    parser = argparse.ArgumentParser(description="a Bitcoin node stand-in for load tests")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--nbits", type=lambda text: int(text, 16), default=HARD, help="hex")
    parser.add_argument("--transactions", type=int, default=0, help="made-up ones in the mempool")
    parser.add_argument("--block-every", type=float, default=0.0, metavar="S", help="grow a foreign block")
    arguments = parser.parse_args()
    with StandIn(arguments.nbits, arguments.port) as node:
        for _ in range(arguments.transactions):
            node.chain.add_transaction()
        sys.stdout.write(json.dumps({"url": node.url, "user": USER, "password": PASSWORD}) + "\n")
        sys.stdout.flush()
        pause = threading.Event()
        while not pause.wait(arguments.block_every or None):
            node.chain.grow()


if __name__ == "__main__":
    main()
