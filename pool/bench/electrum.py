"""A Lightning node stand-in for benchmarks: Electrum's JSON-RPC over real HTTP, and a count of what it paid.

Unlike a real node it pays *whenever it is asked*, so a pool that asks twice is found out.  It also answers
the few wallet calls that a payer without on-chain payouts makes to bitcoind.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from hashlib import sha256
from types import TracebackType
from typing import Any, Final

import attrs

from payouts.invoice import decode
from payouts.lightning.electrum import Status
from payouts.money import Msat
from pool.bench.node import Listener, Requests

USER, PASSWORD = "payer", "bench"
FEE: Final = Msat(1_000)
"""What every payment costs on top."""
PAYS_IN_S: Final = 0.2
"""How long a payment takes: somewhat less than between two real Electrum nodes with one channel."""
_NODE_ID: Final = "02" + "5e" * 32
_CHANNEL_SAT: Final = 100_000_000

# It notes when it was asked for comparison with another process's notes: both take the machine's clock.
_wall: Final[Callable[[], float]] = time.time  # noqa: TID251


def preimage(number: int) -> str:
    """The preimage of the benchmark's invoice so-and-so; the invoice's description is the number."""
    return sha256(b"sluice bench %d" % number).hexdigest()


@attrs.define
class Asked:
    """What a payment hash has been through.

    Attributes:
        preimage: hex.
        amount: of its invoice.
        asked_ms: Unix milliseconds of each request to pay it.
        paid: how many times it was paid.
        paid_s: Unix second of the last of them.
    """

    preimage: str
    amount: Msat
    asked_ms: list[int] = attrs.Factory(list)
    paid: int = 0
    paid_s: int = 0


class BenchElectrum:
    """Serves until its context ends.  Attributes: asked, by payment hash."""

    def __init__(self) -> None:
        self.asked: dict[str, Asked] = {}
        self._lock = threading.Lock()
        self._server = Listener(("127.0.0.1", 0), Requests)
        self._server.node = self
        self._calls: dict[str, Callable[[Any], Any]] = {
            "nodeid": lambda _: f"{_NODE_ID}@127.0.0.1:9735",
            "lnpay": self._pay,
            "get_invoice": self._invoice,
            "export_lightning_preimage": lambda params: self.asked[params["payment_hash"]].preimage,
            "lightning_history": lambda _: self._history(),
            "list_invoices": lambda _: [],
            "list_channels": lambda _: [self._channel()],
            # bitcoind's
            "listwallets": lambda _: ["sluice"],
            "listlockunspent": lambda _: [],
            "getbalances": lambda _: {"mine": {"trusted": 0}},
        }

    @property
    def url(self) -> str:
        """Of its RPC."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> BenchElectrum:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, method: str, params: Any) -> Any:
        """The result of a call; KeyError for one that a payer never makes."""
        return self._calls[method](params)

    def _pay(self, params: Mapping[str, Any]) -> dict[str, object]:
        asked_ms = int(_wall() * 1000)
        invoice = decode(params["invoice"])
        if invoice.amount is None or invoice.description is None:
            raise KeyError("not one of the benchmark's invoices")
        with self._lock:
            fresh = Asked(preimage(int(invoice.description)), invoice.amount)
            asked = self.asked.setdefault(invoice.payment_hash, fresh)
            asked.asked_ms.append(asked_ms)
        time.sleep(PAYS_IN_S)
        with self._lock:
            asked.paid += 1
            asked.paid_s = int(_wall())
        return {"success": True, "payment_hash": invoice.payment_hash}

    def _invoice(self, params: Mapping[str, Any]) -> dict[str, int]:
        asked = self.asked.get(params["invoice_id"])
        if asked is None:
            return {"status": Status.UNPAID}
        return {
            "status": Status.PAID if asked.paid else Status.INFLIGHT,
            "amount_msat": asked.amount,
        }

    def _history(self) -> list[dict[str, object]]:
        """Every payment ever made, as Electrum tells it each time."""
        with self._lock:
            return [
                {
                    "type": "payment",
                    "payment_hash": payment_hash,
                    "amount_msat": -(asked.amount + FEE),
                    "fee_msat": FEE,
                    "timestamp": asked.paid_s,
                }
                for payment_hash, asked in self.asked.items()
                if asked.paid
            ]

    def _channel(self) -> dict[str, object]:
        return {
            "state": "OPEN",
            "peer_state": "GOOD",
            "local_balance": _CHANNEL_SAT,
            "local_reserve": 0,
        }
