"""A real node's mempool, filled within seconds: its transactions spend a script that needs no signature."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any, Final

from pool.chain.coinbase import compact_size
from pool.regtest.bitcoind import Bitcoind

_BANK: Final = "bank"
_ANYONE: Final = b"\x51"  # OP_TRUE, behind a P2WSH: standard to pay and to spend
_SCRIPT: Final = b"\x00\x20" + hashlib.sha256(_ANYONE).digest()
_VALUE_SAT: Final = 20_000
_FEE_SAT: Final = 500
_AT_ONCE: Final = 2_000  # outputs of one transaction, which may weigh 400,000 units
_MATURE: Final = 101


def fill(node: Bitcoind, count: int) -> str:
    """Mine a short chain and put so many transactions into the mempool; answers an address to mine to."""
    node.open_wallet(_BANK)
    address = str(node.rpc("getnewaddress", wallet=_BANK))
    node.mine(_MATURE + 1, address)
    parents = []
    for first in range(0, count, _AT_ONCE):
        outputs = min(_AT_ONCE, count - first)
        parents.append((_fan_out(node, outputs), outputs))
    node.mine(1, address)
    for txid, outputs in parents:
        for raw in _children(txid, outputs):
            node.rpc("sendrawtransaction", raw)
    return address


def _fan_out(node: Bitcoind, outputs: int) -> str:
    """Pay so many outputs; answers the transaction's id, internal order hex."""
    bare = (2).to_bytes(4, "little") + b"\x00" + compact_size(outputs)
    bare += (_VALUE_SAT.to_bytes(8, "little") + compact_size(len(_SCRIPT)) + _SCRIPT) * outputs + bytes(4)
    options: dict[str, Any] = {"changePosition": outputs, "fee_rate": 5}
    # the node would read a transaction without inputs as one with a witness
    funded = node.rpc("fundrawtransaction", bare.hex(), options, False, wallet=_BANK)  # noqa: FBT003
    signed = node.rpc("signrawtransactionwithwallet", funded["hex"], wallet=_BANK)
    txid: str = node.rpc("sendrawtransaction", signed["hex"])
    return bytes.fromhex(txid)[::-1].hex()


def _children(parent: str, outputs: int) -> Iterator[str]:
    for number in range(outputs):
        spent = bytes.fromhex(parent) + number.to_bytes(4, "little") + b"\x00" + b"\xff" * 4
        paid = (_VALUE_SAT - _FEE_SAT).to_bytes(8, "little") + compact_size(len(_SCRIPT)) + _SCRIPT
        witness = b"\x01\x01" + _ANYONE
        yield (
            (2).to_bytes(4, "little") + b"\x00\x01\x01" + spent + b"\x01" + paid + witness + bytes(4)
        ).hex()


def empty_block(node: Bitcoind, address: str) -> str:
    """A solved block without transactions on the node's tip, which does not have it yet; hex.

    The mempool stays as full as it is, so that the next template is as large.
    """
    made = node.rpc("generateblock", address, [], False)  # noqa: FBT003
    return str(made["hex"])
