"""A block template (BIP 22, 23, 145): checking what the node sent, keeping what a job needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import attrs

from payouts.money import Sat
from pool.chain.merkle import branch_beside_coinbase
from pool.chain.networks import Rules, subsidy
from pool.errors import ChainError
from stratum.hashing import sha256d
from stratum.units import Height, Target, target_from_nbits

KNOWN_RULES = frozenset({"csv", "segwit", "taproot", "signet"})
"""Rules that our blocks keep; the node marks with ``!`` those that a miner must know (BIP 9)."""
REQUEST = {"rules": ["segwit", "signet"]}
"""A node of a network without signatures ignores ``signet``."""
ROLLED_BITS = 0x1FFFE000
"""Version bits that miners roll (BIP 310), so that we can promise no value of them."""
MAX_WEIGHT = 4_000_000
MAX_SIGOPS = 80_000
_ANYONE = "51"  # OP_TRUE: a signet whose blocks need no signature, and then none may be missing (BIP 325)
_COMMITMENT_START = bytes.fromhex("6a24aa21a9ed")  # BIP 141: OP_RETURN, 36 bytes, the magic
_MAX_MONEY = 21_000_000 * 100_000_000


EMPTY_COMMITMENT = _COMMITMENT_START + sha256d(bytes(64))
"""BIP 141, for a block of nothing but its coinbase: hash of a root of zeros and a reserved value of zeros."""


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
        branches: the merkle branch beside the coinbase, from the leaf upwards; computed once, where the
            template is read.
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
    branches: tuple[bytes, ...] = attrs.field(repr=False)


def without_transactions(template: Template, value: Sat) -> Template:
    """The same block without anybody's transactions.

    Args:
        template: the whole one.
        value: what such a block may pay: the subsidy alone.
    """
    return attrs.evolve(
        template,
        value=value,
        transactions=(),
        txids=(),
        branches=(),
        witness_commitment=EMPTY_COMMITMENT,
    )


def parse(answer: object, rules: Rules | None = None) -> Template:
    """Check a getblocktemplate answer and keep what is needed.

    Args:
        answer: the decoded JSON.
        rules: of the network; None: the value is not compared with the subsidy and the fees.

    Raises:
        TemplateError: a field is missing or wrong, the fields contradict each other, or a block must be what
            this release cannot make it.
    """
    if not isinstance(answer, Mapping):
        raise TemplateError("getblocktemplate: the answer is not an object")
    _check_rules(answer)
    _check_signet(answer)
    nbits = int.from_bytes(_bytes(answer, "bits", 4), "big")
    try:
        network_target = target_from_nbits(nbits)
    except ValueError as error:
        raise TemplateError(f"getblocktemplate: bits: {error}") from None
    if "target" in answer and int.from_bytes(_bytes(answer, "target", 32), "big") != network_target:
        raise TemplateError("getblocktemplate: target: another one than in bits")
    curtime_s = _int(answer, "curtime", 1, 2**32 - 1)
    transactions, txids = _transactions(answer)
    height = Height(_int(answer, "height", 1, 2**31 - 1))
    return Template(
        height=height,
        prev_hash=_bytes(answer, "previousblockhash", 32)[::-1],
        version=_version(answer),
        nbits=nbits,
        network_target=network_target,
        curtime_s=curtime_s,
        mintime_s=_int(answer, "mintime", 0, curtime_s),
        value=_value(answer, height, rules),
        transactions=transactions,
        txids=txids,
        witness_commitment=_commitment(answer),
        longpoll_id=_longpoll_id(answer),
        branches=branch_beside_coinbase(txids),
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
    if answer.get("workid") is not None:  # BIP 22: would have to be sent with the block
        raise TemplateError(
            "getblocktemplate: workid: a node that wants its templates named is not supported"
        )


def _check_signet(answer: Mapping[Any, Any]) -> None:
    """BIP 325: a challenge that anyone meets needs no solution; for any other one we have no key."""
    challenge = answer.get("signet_challenge")
    if challenge is None and "!signet" not in answer.get("rules", []):
        return
    if challenge != _ANYONE:
        raise TemplateError(
            "getblocktemplate: signet_challenge: only the signet's owner can sign its blocks; this release"
            " mines on signets whose challenge is 51 (OP_TRUE)"
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
    _check_order(entries)
    _check_sum(answer, "weightlimit", MAX_WEIGHT, sum(map(_weight, entries, raw)))
    _check_sum(
        answer, "sigoplimit", MAX_SIGOPS, sum(_optional(e, "sigops", MAX_SIGOPS) or 0 for e in entries)
    )
    _check_sum(answer, "sizelimit", MAX_WEIGHT, sum(map(len, raw)))
    return raw, txids


def _optional(entry: Mapping[Any, Any], key: str, most: int) -> int | None:
    """A number that BIP 22 lets a node leave out."""
    return None if entry.get(key) is None else _int(entry, key, 0, most)


def _weight(entry: Mapping[Any, Any], raw: bytes) -> int:
    """As the node says, if that can be; else the most that so many bytes may weigh."""
    said = _optional(entry, "weight", MAX_WEIGHT)
    if said is not None and not len(raw) <= said <= 4 * len(raw):
        raise TemplateError("getblocktemplate: transactions: a weight does not fit its transaction's bytes")
    return 4 * len(raw) if said is None else said


def _check_order(entries: Sequence[Mapping[Any, Any]]) -> None:
    for number, entry in enumerate(entries, 1):  # the coinbase is number 0, which nothing can depend on
        for needed in entry.get("depends") or ():
            if type(needed) is not int or not 1 <= needed < number:
                raise TemplateError("getblocktemplate: transactions: one depends on none before it")


def _check_sum(answer: Mapping[Any, Any], key: str, most: int, found: int) -> None:
    """What the transactions add up to may not pass the node's limit, and that not the network's."""
    limit = _optional(answer, key, most)
    if found > (most if limit is None else limit):
        raise TemplateError(f"getblocktemplate: {key}: its transactions pass it ({found})")


def _version(answer: Mapping[Any, Any]) -> int:
    version = _int(answer, "version", -(2**31), 2**31 - 1) & 0xFFFFFFFF
    required = _optional(answer, "vbrequired", 2**32 - 1) or 0
    if required & ROLLED_BITS or required & ~version:
        raise TemplateError(
            f"getblocktemplate: vbrequired: version bits {required:08x} are required, but not set or"
            " rolled by miners"
        )
    return version


def _value(answer: Mapping[Any, Any], height: int, rules: Rules | None) -> Sat:
    value = Sat(_int(answer, "coinbasevalue", 0, _MAX_MONEY))
    fees = [_optional(entry, "fee", _MAX_MONEY) for entry in answer["transactions"]]
    known = [fee for fee in fees if fee is not None]
    if rules is not None and len(known) == len(fees) and value != subsidy(height, rules) + sum(known):
        raise TemplateError(
            f"getblocktemplate: coinbasevalue: is {value} sat, but subsidy and fees make"
            f" {subsidy(height, rules) + sum(known)}"
        )
    return value


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
