"""A block template (BIP 22, 23, 145): checking what the node sent, keeping what a job needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import attrs

from payouts.money import Sat
from pool.errors import ChainError
from stratum.units import Height, Target, target_from_nbits

KNOWN_RULES = frozenset({"csv", "segwit", "taproot"})
"""Rules that our blocks keep; the node marks with ``!`` those that a miner must know (BIP 9)."""
REQUEST = {"rules": ["segwit"]}
_COMMITMENT_START = bytes.fromhex("6a24aa21a9ed")  # BIP 141: OP_RETURN, 36 bytes, the magic
_MAX_MONEY = 21_000_000 * 100_000_000


class TemplateError(ChainError):
    """The node's template cannot be mined on; the text names the field."""


@attrs.frozen(eq=False)
class Template:
    """What the next block is made of.

    Attributes:
        height: of the block to be made.
        prev_hash: 32 bytes in header (internal) order.
        version: block version.
        nbits: compact target of the header.
        network_target: the same, decoded.
        curtime_s: the node's time for the header.
        mintime_s: the least time that is valid.
        value: subsidy and fees: what the coinbase may pay.
        transactions: raw bytes with witness, in block order, without the coinbase.
        txids: 32-byte internal-order hashes, in the same order.
        witness_commitment: the script of the commitment output (BIP 141).
        longpoll_id: to be told when the template changes; None when the node offers no longpoll.
    """

    height: Height
    prev_hash: bytes
    version: int
    nbits: int
    network_target: Target
    curtime_s: int
    mintime_s: int
    value: Sat
    transactions: tuple[bytes, ...] = attrs.field(repr=False)
    txids: tuple[bytes, ...] = attrs.field(repr=False)
    witness_commitment: bytes
    longpoll_id: str | None


def parse(answer: object) -> Template:
    """Check a getblocktemplate answer and keep what is needed.

    Args:
        answer: the decoded JSON.

    Raises:
        TemplateError: a field is missing or wrong, or the block must keep a rule that we do not know.
    """
    if not isinstance(answer, Mapping):
        raise TemplateError("getblocktemplate: the answer is not an object")
    _check_rules(answer)
    nbits = int.from_bytes(_bytes(answer, "bits", 4), "big")
    try:
        network_target = target_from_nbits(nbits)
    except ValueError as error:
        raise TemplateError(f"getblocktemplate: bits: {error}") from None
    transactions, txids = _transactions(answer)
    return Template(
        height=Height(_int(answer, "height", 1, 2**31 - 1)),
        prev_hash=_bytes(answer, "previousblockhash", 32)[::-1],
        version=_int(answer, "version", -(2**31), 2**31 - 1) & 0xFFFFFFFF,
        nbits=nbits,
        network_target=network_target,
        curtime_s=_int(answer, "curtime", 1, 2**32 - 1),
        mintime_s=_int(answer, "mintime", 0, 2**32 - 1),
        value=Sat(_int(answer, "coinbasevalue", 0, _MAX_MONEY)),
        transactions=transactions,
        txids=txids,
        witness_commitment=_commitment(answer),
        longpoll_id=_longpoll_id(answer),
    )


def _check_rules(answer: Mapping[Any, Any]) -> None:
    rules = answer.get("rules", [])
    if not isinstance(rules, list) or not all(isinstance(rule, str) for rule in rules):
        raise TemplateError("getblocktemplate: rules: not a list of names")
    unknown = [rule for rule in cast(list[str], rules) if rule[:1] == "!" and rule[1:] not in KNOWN_RULES]
    if unknown:
        raise TemplateError(
            f"getblocktemplate: rules: a block must keep {unknown[0]!r}, which this release does not know"
        )


def _int(answer: Mapping[Any, Any], key: str, least: int, most: int) -> int:
    value = answer.get(key)
    if type(value) is not int or not least <= value <= most:
        raise TemplateError(f"getblocktemplate: {key}: not an integer from {least} to {most}")
    return value


def _bytes(answer: Mapping[Any, Any], key: str, length: int | None = None) -> bytes:
    value = answer.get(key)
    try:
        found = bytes.fromhex(value) if isinstance(value, str) else b""
    except ValueError:
        found = b""
    if not found or (length is not None and len(found) != length):
        raise TemplateError(f"getblocktemplate: {key}: not {length or 'some'} bytes of hex")
    return found


def _transactions(answer: Mapping[Any, Any]) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    entries = answer.get("transactions")
    if not isinstance(entries, list) or not all(isinstance(entry, Mapping) for entry in entries):
        raise TemplateError("getblocktemplate: transactions: not a list of objects")
    raw = tuple(_bytes(entry, "data") for entry in entries)
    txids = tuple(_bytes(entry, "txid", 32)[::-1] for entry in entries)
    return raw, txids


def _commitment(answer: Mapping[Any, Any]) -> bytes:
    script = _bytes(answer, "default_witness_commitment")
    if not script.startswith(_COMMITMENT_START) or len(script) != len(_COMMITMENT_START) + 32:
        raise TemplateError("getblocktemplate: default_witness_commitment: not a BIP 141 commitment")
    return script


def _longpoll_id(answer: Mapping[Any, Any]) -> str | None:
    value = answer.get("longpollid")
    if value is not None and not isinstance(value, str):
        raise TemplateError("getblocktemplate: longpollid: not a string")
    return value
