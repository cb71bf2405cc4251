"""A node stand-in for benchmarks: templates as hard as mainnet's over real HTTP, and a new tip on demand.

A real node on regtest makes every share a block; this one keeps every share a share.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final, Protocol

from stratum.hashing import sha256d

NBITS: Final = 0x17034219
"""Mainnet's at the end of 2023: no benchmark finds a block by accident."""
EASY_NBITS: Final = 0x207FFFFF
"""Of the tips, which have to prove their work."""
CURTIME_S: Final = 1_700_000_000
TRANSACTIONS: Final = 3_000
"""As many as in a usual block: 12 merkle branches."""
USER, PASSWORD = "front", "bench"
_LONGPOLL_S: Final = 60.0


class BenchNode:
    """Serves templates until its context ends.  Attributes: the height of the block being sought."""

    def __init__(self) -> None:
        self.height = 800_000
        self._changed = threading.Condition()
        self._headers: dict[str, bytes] = {}
        self._tips = [self._header_after("00" * 32)]
        self._over = False
        self._transactions = [_transaction(number) for number in range(TRANSACTIONS)]
        self._server = Listener(("127.0.0.1", 0), Requests)
        self._server.node = self

    @property
    def url(self) -> str:
        """Of its RPC."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> BenchNode:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._over = True
            self._changed.notify_all()
        self._server.shutdown()
        self._server.server_close()

    def find_block(self) -> None:
        """Somebody found a block: longpolls answer with work on a new tip."""
        with self._changed:
            self.height += 1
            self._tips.append(self._header_after(self._tips[-1]))
            self._changed.notify_all()

    def answer(self, method: str, params: list[Any]) -> Any:
        """The result of a call; KeyError for one that a front never makes."""
        calls: dict[str, Callable[[], Any]] = {
            "getblocktemplate": lambda: self._template(params[0]),
            "getblockheader": lambda: self._header(params[0]),
            "getbestblockhash": self._tip,
            "getblockchaininfo": self._info,
            "submitblock": lambda: "high-hash",
        }
        return calls[method]()

    def _tip(self) -> str:
        return self._tips[-1]

    def _header_after(self, before: str) -> str:
        """Make a tip that meets its own, easy target; its hash."""
        head = bytes(4) + bytes.fromhex(before)[::-1] + bytes(32) + CURTIME_S.to_bytes(4, "little")
        for nonce in range(1 << 16):
            raw = head + EASY_NBITS.to_bytes(4, "little") + nonce.to_bytes(4, "little")
            found = sha256d(raw)[::-1]
            if found[0] < 0x7F:
                self._headers[found.hex()] = raw
                return found.hex()
        raise AssertionError("every second header meets it")

    def _header(self, block_hash: str) -> dict[str, Any]:
        raw, height = self._headers[block_hash], self.height - len(self._tips) + self._tips.index(block_hash)
        return {
            "hash": block_hash,
            "height": height,
            "confirmations": self.height - height,
            "version": 0,
            "merkleroot": "00" * 32,
            "time": CURTIME_S,
            "mediantime": CURTIME_S - 600,
            "bits": f"{EASY_NBITS:08x}",
            "nonce": int.from_bytes(raw[76:], "little"),
            "chainwork": f"{2 * height:064x}",
            "previousblockhash": raw[4:36][::-1].hex(),
        }

    def _info(self) -> dict[str, Any]:
        return {
            "chain": "regtest",
            "blocks": self.height - 1,
            "headers": self.height - 1,
            "bestblockhash": self._tip(),
            "initialblockdownload": False,
        }

    def _template(self, request: dict[str, Any]) -> dict[str, Any] | None:
        if request.get("mode") == "proposal":
            return None
        known = request.get("longpollid")
        with self._changed:
            self._changed.wait_for(lambda: self._over or self._tip() != known, _LONGPOLL_S)
            return {
                "version": 0x20000000,
                "rules": ["csv", "!segwit", "taproot"],
                "previousblockhash": self._tip(),
                "transactions": self._transactions,
                "coinbasevalue": 312_500_000,
                "longpollid": self._tip(),
                "mintime": CURTIME_S - 600,
                "curtime": CURTIME_S,
                "bits": f"{NBITS:08x}",
                "height": self.height,
                "default_witness_commitment": "6a24aa21a9ed" + "22" * 32,
            }


def _transaction(number: int) -> dict[str, str]:
    """Made up: a front never looks inside."""
    txid = sha256(number.to_bytes(4, "big")).hexdigest()
    return {"data": "02" * 100, "txid": txid, "hash": txid}


class Answers(Protocol):
    """A stand-in's calls."""

    def answer(self, method: str, params: Any) -> Any:
        """The result of a call; KeyError for one that it does not know."""
        ...


class Listener(ThreadingHTTPServer):
    """Serves a stand-in's calls, a thread for each.  Attributes: the stand-in."""

    daemon_threads = True
    request_queue_size = 128  # with socketserver's own 5, connections that come together wait for seconds
    node: Answers

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A front that stops hangs up on its longpoll."""


class Requests(BaseHTTPRequestHandler):
    """JSON-RPC over HTTP."""

    server: Listener

    def do_POST(self) -> None:
        """One JSON-RPC call."""
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        document: dict[str, Any] = {"result": None, "error": None, "id": request["id"]}
        try:
            document["result"] = self.server.node.answer(request["method"], request["params"])
        except KeyError:
            document["error"] = {"code": -32601, "message": "Method not found"}
        body = json.dumps(document).encode()
        self.send_response(500 if document["error"] else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""
