"""Statements and receipts as files: JSON that a person can look through, and a strict reader of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

from pool.errors import ProofError
from pool.proof import claims, commitment, fields, record
from pool.proof.blockproof import MAX_BLOCK_BYTES, MAX_BRANCH, BlockProof, checked
from pool.proof.statement import MAX_SHARES, RECEIPT, STATEMENT, Growth, Leaf, Own, Receipt, Statement
from pool.proof.sums import CLAIMED, MAX_NAME, Summed, SumPath, SumRoot
from pool.rewards.exact import fraction_text

_STATEMENT: Final = (
    "format",
    "account",
    "block",
    "commitment",
    "reward",
    "own",
    "sums",
    "shares",
    "before",
    "checksum",
)
_RECEIPT: Final = ("format", "share", "block", "commitment", "path", "checksum")
_MAX_PATH: Final = 63
_MAX_LEAVES: Final = 8


def text_of(document: Statement | Receipt) -> str:
    """A document as it is written to a file, with a checksum over the rest of it."""
    body = _statement(document) if isinstance(document, Statement) else _receipt(document)
    return json.dumps({**body, "checksum": _checksum(body)}, separators=(",", ":")) + "\n"


def read(text: str) -> Statement | Receipt:
    """Read a document.

    Raises:
        ProofError: it is none; the text says what is wrong with it.
    """
    value = fields.parse(text)
    match value.get("format"):
        case format_ if format_ == STATEMENT:
            return _read_statement(fields.members(value, _STATEMENT, "the statement"))
        case format_ if format_ == RECEIPT:
            return _read_receipt(fields.members(value, _RECEIPT, "the receipt"))
        case _:
            raise ProofError(f"the document is neither a {STATEMENT} nor a {RECEIPT}")


def intact(text: str) -> bool:
    """Whether a document that can be read is as it was written.

    The checksum is for accidents: who forges a document makes a new one, and is found out by its contents.
    """
    body = dict(fields.parse(text))
    said: object = body.pop("checksum", None)
    return said == _checksum(body)


def _checksum(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


# ------------------------------------------------------------------------------------------------- written


def _statement(statement: Statement) -> dict[str, Any]:
    memo = statement.claims.memo
    return {
        "format": STATEMENT,
        "account": statement.account,
        "block": _block(statement.block),
        "commitment": json.loads(statement.commitment.document),
        "reward": {name: memo[name] for name in CLAIMED},
        "own": [_own(each) for each in statement.own],
        "sums": {
            "root": statement.sums.hash.hex(),
            "total_msat": str(statement.sums.total),
            "size": statement.sums.size,
            "leaves": [_leaf(each) for each in statement.leaves],
        },
        "shares": {
            "fixed": [record.as_json(share) for share in statement.shares],
            "proof": [each.hex() for each in statement.proof],
            "newer": [record.as_json(share) for share in statement.newer],
        },
        "before": None if statement.before is None else _growth(statement.before),
    }


def _receipt(receipt: Receipt) -> dict[str, Any]:
    return {
        "format": RECEIPT,
        "share": record.as_json(receipt.share),
        "block": _block(receipt.block),
        "commitment": json.loads(receipt.commitment.document),
        "path": [each.hex() for each in receipt.path],
    }


def _growth(growth: Growth) -> dict[str, Any]:
    return {
        "block": _block(growth.block),
        "commitment": json.loads(growth.commitment.document),
        "proof": [each.hex() for each in growth.proof],
    }


def _block(block: BlockProof) -> dict[str, Any]:
    return {
        "hash": block.hash,
        "header": block.header.hex(),
        "coinbase": block.coinbase.hex(),
        "branch": [each.hex() for each in block.branch],
    }


def _own(own: Own) -> dict[str, Any]:
    return {"weight": fraction_text(own.weight), "credit_msat": str(own.credit), "left_out": own.left_out}


def _leaf(leaf: Leaf) -> dict[str, Any]:
    return {
        "name": leaf.name,
        "amount_msat": str(leaf.amount),
        "index": leaf.path.index,
        "path": [[str(each.amount), each.hash.hex()] for each in leaf.path.beside],
    }


# ---------------------------------------------------------------------------------------------------- read


def _read_statement(value: Mapping[str, Any]) -> Statement:
    shares = fields.members(value["shares"], ("fixed", "proof", "newer"), "the shares")
    sums = fields.members(value["sums"], ("root", "total_msat", "size", "leaves"), "the sum tree")
    fields.digest(value["checksum"], "the checksum")
    return Statement(
        account=fields.token(value["account"], "the account"),
        block=_read_block(value["block"]),
        commitment=_read_commitment(value["commitment"]),
        claims=claims.read(value["reward"]),
        own=fields.items(value["own"], claims.MAX_PARTS, "the own parts", _read_own),
        sums=SumRoot(
            fields.digest(sums["root"], "the sum tree's root"),
            fields.amount(sums["total_msat"], "the sum tree's total"),
            fields.number(sums["size"], "the sum tree's size", least=1),
        ),
        leaves=fields.items(sums["leaves"], _MAX_LEAVES, "the sum tree's leaves", _read_leaf),
        shares=fields.items(shares["fixed"], MAX_SHARES, "the shares", record.from_json),
        proof=fields.items(shares["proof"], MAX_SHARES * _MAX_PATH, "the shares' proof", _read_hash),
        newer=fields.items(shares["newer"], MAX_SHARES, "the newer shares", record.from_json),
        before=None if value["before"] is None else _read_growth(value["before"]),
    )


def _read_receipt(value: Mapping[str, Any]) -> Receipt:
    fields.digest(value["checksum"], "the checksum")
    return Receipt(
        share=record.from_json(value["share"]),
        block=_read_block(value["block"]),
        commitment=_read_commitment(value["commitment"]),
        path=fields.items(value["path"], _MAX_PATH, "the path", _read_hash),
    )


def _read_growth(value: Any) -> Growth:
    growth = fields.members(value, ("block", "commitment", "proof"), "what the log grew out of")
    return Growth(
        block=_read_block(growth["block"]),
        commitment=_read_commitment(growth["commitment"]),
        proof=fields.items(growth["proof"], 2 * _MAX_PATH, "the proof of growth", _read_hash),
    )


def _read_block(value: Any) -> BlockProof:
    block = fields.members(value, ("hash", "header", "coinbase", "branch"), "the block")
    proof = checked(
        fields.hexed(block["header"], "the block's header", 80),
        fields.hexed(block["coinbase"], "the block's coinbase", MAX_BLOCK_BYTES),
        fields.items(block["branch"], MAX_BRANCH, "the block's branch", _read_hash),
    )
    if block["hash"] != proof.hash:
        raise ProofError("the block's header has another hash than the document says")
    return proof


def _read_commitment(value: Any) -> commitment.Commitment:
    if not isinstance(value, dict):
        raise ProofError("the commitment is no object")
    return commitment.read(json.dumps(value, sort_keys=True, separators=(",", ":")))


def _read_own(value: Any) -> Own:
    own = fields.members(value, ("weight", "credit_msat", "left_out"), "an own part")
    return Own(
        weight=fields.fraction(own["weight"], "an own weight"),
        credit=fields.amount(own["credit_msat"], "an own credit"),
        left_out=fields.number(own["left_out"], "an own left_out"),
    )


def _read_leaf(value: Any) -> Leaf:
    leaf = fields.members(value, ("name", "amount_msat", "index", "path"), "a leaf of the sum tree")
    path = SumPath(
        fields.number(leaf["index"], "a leaf's index"),
        fields.items(leaf["path"], _MAX_PATH, "a path", _read_summed),
    )
    name = fields.token(leaf["name"], "a leaf's name", MAX_NAME)
    return Leaf(name, fields.amount(leaf["amount_msat"], "a leaf's amount"), path)


def _read_summed(value: Any) -> Summed:
    if not isinstance(value, list) or len(value) != 2:
        raise ProofError("a step of a path is no pair")
    return Summed(fields.amount(value[0], "a sum in a path"), fields.digest(value[1], "a hash in a path"))


def _read_hash(value: Any) -> bytes:
    return fields.digest(value, "a hash in a proof")
