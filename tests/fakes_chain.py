"""The node stand-in's chain: its templates, and the rules that a block has to keep."""

from __future__ import annotations

import hashlib
import threading
import time
from typing import Any

import attrs

LONGPOLL_S = 60.0
EASY = 0x207FFFFF  # regtest's: every second header is a block


def sha256d(data: bytes) -> bytes:
    return hashlib.sha256(hashlib.sha256(data).digest()).digest()


@attrs.frozen
class Entry:
    """A block of the stand-in's chain; hashes in display order."""

    hash: str
    prev_hash: str
    height: int
    raw: bytes
    time_s: int


def easy_header(prev_hash: str, time_s: int) -> bytes:
    """The header of somebody's block, with regtest's difficulty whatever the templates ask for."""
    head = (0x20000000).to_bytes(4, "little") + bytes.fromhex(prev_hash)[::-1] + sha256d(prev_hash.encode())
    head += time_s.to_bytes(4, "little") + EASY.to_bytes(4, "little")
    headers = (head + nonce.to_bytes(4, "little") for nonce in range(1 << 16))
    return next(raw for raw in headers if sha256d(raw)[31] < 0x7F)


class RpcRefusal(Exception):
    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Chain:
    """The rules: what is the tip, what may follow it.  One lock; longpolls wait on it."""

    def __init__(self, nbits: int) -> None:
        self.nbits = nbits
        self.changed = threading.Condition()
        raw = easy_header("00" * 32, int(time.time()) - 600)
        genesis = Entry(sha256d(raw)[::-1].hex(), "00" * 32, 599, raw, int(time.time()) - 600)
        self.blocks = {genesis.hash: genesis}
        self.active = [genesis]
        self.mempool: list[bytes] = []
        self.fees: dict[str, int] = {}  # sat, of blocks with transactions
        self.forbidden: set[str] = set()  # calls that nobody may make
        self.rules = ["csv", "!segwit", "taproot"]
        self.silent = False
        self.proposed = 0
        self.polled = threading.Event()  # somebody waits, or has waited, for a change

    @property
    def tip(self) -> Entry:
        return self.active[-1]

    def add_transaction(self) -> None:
        """Put one more made-up transaction into the mempool."""
        with self.changed:
            number = len(self.mempool).to_bytes(4, "little") + self.tip.height.to_bytes(4, "little")
            inputs = b"\x01" + sha256d(number) + bytes(4) + b"\x00" + b"\xff" * 4
            outputs = b"\x01" + (1000).to_bytes(8, "little") + b"\x16\x00\x14" + bytes(20)
            self.mempool.append(b"\x02\x00\x00\x00" + inputs + outputs + bytes(4))
            self.changed.notify_all()

    def grow(self) -> str:
        """A block of somebody else's; returns its hash."""
        with self.changed:
            raw = easy_header(self.tip.hash, int(time.time()))
            return self._append(sha256d(raw)[::-1].hex(), raw)  # it takes none of our transactions

    def _append(self, block_hash: str, raw: bytes) -> str:
        tip = self.tip
        entry = Entry(block_hash, tip.hash, tip.height + 1, raw, int(time.time()))
        self.blocks[block_hash] = entry
        self.active.append(entry)
        self.changed.notify_all()
        return block_hash

    def header(self, block_hash: str) -> dict[str, Any] | None:
        """What getblockheader answers; None for an unknown block."""
        entry = self.blocks.get(block_hash)
        if entry is None:
            return None
        numbers = [int.from_bytes(entry.raw[at : at + 4], "little") for at in (0, 68, 72, 76)]
        return {
            "hash": entry.hash,
            "height": entry.height,
            "confirmations": self.tip.height - entry.height + 1 if entry in self.active else -1,
            "version": numbers[0],
            "merkleroot": entry.raw[36:68][::-1].hex(),
            "time": numbers[1],
            "mediantime": numbers[1],
            "bits": f"{numbers[2]:08x}",
            "nonce": numbers[3],
            "chainwork": f"{2 * entry.height:064x}",
            "previousblockhash": entry.prev_hash,
        }

    def propose(self, raw: bytes) -> str | None:
        """What it would say to a block if only its proof of work were there."""
        with self.changed:
            self.proposed += 1
            coinbase, rest = split_coinbase(raw)
            word = self._judge(raw[:80], coinbase, rest, solved=True)
            return "inconclusive-not-best-prevblk" if word == "inconclusive" else word

    def longpoll_id(self) -> str:
        return f"{self.tip.hash}{len(self.mempool)}"

    def wait_for_change(self, longpoll_id: str) -> None:
        with self.changed:
            self.polled.set()
            self.changed.wait_for(lambda: self.longpoll_id() != longpoll_id or self.silent, LONGPOLL_S)

    def template(self) -> dict[str, Any]:
        with self.changed:
            tip, now = self.tip, int(time.time())
            txids = [sha256d(raw) for raw in self.mempool]
            commitment = sha256d(merkle_root([bytes(32), *txids]) + bytes(32))
            return {
                "version": 0x20000000,
                "rules": self.rules,
                "previousblockhash": tip.hash,
                "transactions": [
                    {"data": raw.hex(), "txid": txid[::-1].hex(), "hash": txid[::-1].hex(), "fee": 100}
                    for raw, txid in zip(self.mempool, txids, strict=True)
                ],
                "coinbasevalue": self.value(),
                "longpollid": self.longpoll_id(),
                "mintime": tip.time_s - 300,
                "curtime": max(now, tip.time_s - 299),
                "bits": f"{self.nbits:08x}",
                "height": tip.height + 1,
                "default_witness_commitment": "6a24aa21a9ed" + commitment.hex(),
            }

    def value(self) -> int:
        subsidy: int = 5_000_000_000 >> (self.tip.height + 1) // 150  # regtest's
        return subsidy + 100 * len(self.mempool)

    def submit(self, raw: bytes) -> str | None:
        """Check a block as a node does; BIP 22's words, None for a good one."""
        with self.changed:
            block_hash = sha256d(raw[:80])[::-1].hex()
            if block_hash in self.blocks:
                return "duplicate"
            coinbase, rest = split_coinbase(raw)
            word = self._judge(raw[:80], coinbase, rest)
            if word is None:
                self.fees[block_hash] = 100 * len(self.mempool)
                self.mempool.clear()
                self._append(block_hash, raw)
            return word

    def _judge(self, header: bytes, coinbase: bytes, rest: bytes, *, solved: bool = False) -> str | None:
        mantissa, exponent = self.nbits & 0x7FFFFF, self.nbits >> 24
        prev_hash = header[4:36][::-1].hex()
        height = self.tip.height + 1
        pushed = height.to_bytes(height.bit_length() // 8 + 1, "little")
        value_at = 42 + coinbase[41] + 4 + 1
        broken = {
            "high-hash": not solved
            and int.from_bytes(sha256d(header), "little") > mantissa << 8 * (exponent - 3),
            "prev-blk-not-found": prev_hash not in self.blocks,
            "inconclusive": prev_hash != self.tip.hash,
            "bad-txns": rest != b"".join(self.mempool),
            "bad-txnmrklroot": merkle_root([sha256d(coinbase), *map(sha256d, self.mempool)]) != header[36:68],
            "bad-cb-height": not coinbase[42:].startswith(bytes([len(pushed)]) + pushed),
            "bad-cb-amount": int.from_bytes(coinbase[value_at : value_at + 8], "little") > self.value(),
        }
        return next((word for word, is_so in broken.items() if is_so), None)


def merkle_root(row: list[bytes]) -> bytes:
    while len(row) > 1:
        if len(row) % 2:
            row = [*row, row[-1]]
        row = [sha256d(row[i] + row[i + 1]) for i in range(0, len(row), 2)]
    return row[0]


def split_coinbase(raw: bytes) -> tuple[bytes, bytes]:
    """The first transaction of a block without its witness, and what follows it."""
    start = 83 if len(raw) > 80 and raw[80] == 0xFD else 81  # behind the number of transactions
    if len(raw) < 150 or raw[start + 4 : start + 6] != b"\x00\x01":
        raise RpcRefusal(-22, "Block decode failed")
    at = start + 6 + 1 + 36
    at += 1 + raw[at] + 4
    outputs = raw[at]
    at += 1
    for _ in range(outputs):
        at += 9 + raw[at + 8]
    witness = at + 34
    return raw[start : start + 4] + raw[start + 6 : at] + raw[witness : witness + 4], raw[witness + 4 :]
