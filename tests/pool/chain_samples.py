"""Templates and blocks for the tests of the chain modules."""

from __future__ import annotations

from typing import Any

# mainnet's first block, whole
GENESIS = bytes.fromhex(
    "0100000000000000000000000000000000000000000000000000000000000000000000003ba3edfd7a7b12b27ac72c3e67768f61"
    "7fc81bc3888a51323a9fb8aa4b1e5e4a29ab5f49ffff001d1dac2b7c"
    "01"
    "01000000010000000000000000000000000000000000000000000000000000000000000000ffffffff4d04ffff001d01044554"
    "68652054696d65732030332f4a616e2f32303039204368616e63656c6c6f72206f6e206272696e6b206f66207365636f6e6420"
    "6261696c6f757420666f722062616e6b73ffffffff0100f2052a01000000434104678afdb0fe5548271967f1a67130b7105cd6"
    "a828e03909a67962e0ea1f61deb649f6bc3f4cef38c4f35504e51ec112de5c384df7ba0b8d578a4c702b6bf11d5fac00000000"
)
GENESIS_HASH = "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f"


def answer(**changes: Any) -> dict[str, Any]:
    """What getblocktemplate answers, shortened; a change to None leaves the field out."""
    whole = {
        "version": 536870912,
        "rules": ["csv", "!segwit", "taproot"],
        "previousblockhash": "00" * 28 + "deadbeef",
        "transactions": [
            {"data": "0200aa", "txid": "01" * 31 + "02", "hash": "03" * 32, "fee": 141, "weight": 12},
            {"data": "0200bbcc", "txid": "04" * 31 + "05", "hash": "06" * 32, "fee": 9, "weight": 16},
        ],
        "coinbasevalue": 312500150,
        "longpollid": "ab12",
        "mintime": 1700000000,
        "curtime": 1700000600,
        "bits": "17034219",
        "height": 840000,
        "default_witness_commitment": "6a24aa21a9ed" + "77" * 32,
    }
    whole.update(changes)
    return {key: value for key, value in whole.items() if value is not None}
