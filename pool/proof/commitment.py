"""What a block fixes: the log's root, the policies and the journal, as one hash in the coinbase.

The document is too long for a coinbase, and a coinbase has to be short for small machines
(docs/decisions/0032): the block carries its hash, and every statement the document.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import attrs

from pool.chain.node import CoinbaseOutput
from pool.errors import ProofError
from pool.proof.merkle import HASH_BYTES, MAX_SIZE
from pool.rewards.policy import Term

MAGIC: Final = b"SLCE"
"""What our output begins with, so that it is told from others."""
DATA_BYTES: Final = len(MAGIC) + HASH_BYTES
_SCRIPT: Final = bytes([0x6A, DATA_BYTES]) + MAGIC  # OP_RETURN and one push
_HEX: Final = re.compile(r"[0-9a-f]{64}")
_POT: Final = re.compile(r"[a-z0-9+._-]{1,32}")
MAX_CHANGES: Final = 10_000
"""Policies that one pot may have had; each was written by hand."""
_KEYS: Final = {"journal", "policies", "root", "size"}


@attrs.frozen
class Adopted:
    """A policy of a pot.  Attributes: log id after which it holds; hex hash of its terms."""

    after_share: int
    policy_hash: str


@attrs.frozen
class Commitment:
    """What the pool had written down at a moment.

    Attributes:
        size: shares in the log; ids 1 … size are fixed by it.
        root: of the Merkle tree over them, 32 bytes.
        policies: of each pot, all there have been, oldest first: those before the newest still decide about
            shares from before a change.
        journal: hex hash of the newest entry; the journal is a chain, so it fixes all entries.
    """

    size: int
    root: bytes
    policies: Mapping[str, Sequence[Adopted]]
    journal: str

    @property
    def document(self) -> str:
        """The whole of it as canonical JSON: sorted keys, no spaces."""
        pots = {
            pot: [[each.after_share, each.policy_hash] for each in all_]
            for pot, all_ in self.policies.items()
        }
        value = {"journal": self.journal, "policies": pots, "root": self.root.hex(), "size": self.size}
        return json.dumps(value, sort_keys=True, separators=(",", ":"))

    @property
    def digest(self) -> bytes:
        """SHA-256 of the document, 32 bytes."""
        return hashlib.sha256(self.document.encode()).digest()


def output_data(commitment: Commitment) -> bytes:
    """What goes behind OP_RETURN: the magic and the digest, 36 bytes."""
    return MAGIC + commitment.digest


def policies_of(changes: Iterable[tuple[str, Term]]) -> dict[str, tuple[Adopted, ...]]:
    """The policies of a commitment.  Args: changes: pot and policy of all there were, oldest first."""
    found: dict[str, tuple[Adopted, ...]] = {}
    for pot, term in changes:
        found[pot] = (*found.get(pot, ()), Adopted(term.after_share, term.policy.hash))
    return found


def find(outputs: Iterable[CoinbaseOutput]) -> tuple[bytes, ...]:
    """The digests in a coinbase's outputs.

    Returns:
        One, where the pool committed to one log; two would let it claim either, and prove nothing.
    """
    size = len(_SCRIPT) + HASH_BYTES
    scripts = (output.script for output in outputs)
    return tuple(each[len(_SCRIPT) :] for each in scripts if len(each) == size and each.startswith(_SCRIPT))


def read(document: str) -> Commitment:
    """Read a document; strict, so that only canonical ones are taken.

    Raises:
        ProofError: it is no commitment.
    """
    try:
        value = json.loads(document)
    except (ValueError, RecursionError) as error:
        raise ProofError("the commitment is not JSON") from error
    if not isinstance(value, dict) or value.keys() != _KEYS:
        raise ProofError(f"a commitment has exactly {', '.join(sorted(_KEYS))}")
    commitment = Commitment(
        _number(value["size"], "size"),
        bytes.fromhex(_hash(value["root"], "root")),
        _policies(value["policies"]),
        _hash(value["journal"], "journal"),
    )
    if commitment.document != document:
        raise ProofError("the commitment is not written in its canonical form")
    return commitment


def _policies(value: Any) -> dict[str, tuple[Adopted, ...]]:
    if not isinstance(value, dict) or not all(_POT.fullmatch(pot) for pot in value):
        raise ProofError("the commitment's policies are no pots")
    return {pot: _changes(changes) for pot, changes in value.items()}


def _changes(value: Any) -> tuple[Adopted, ...]:
    if not isinstance(value, list) or not 0 < len(value) <= MAX_CHANGES:
        raise ProofError("a pot in the commitment has no policies")
    if not all(isinstance(pair, list) and len(pair) == 2 for pair in value):
        raise ProofError("a policy in the commitment is a share and a hash")
    found = tuple(Adopted(_number(after, "policy"), _hash(name, "policy")) for after, name in value)
    beginnings = [each.after_share for each in found]
    if beginnings != sorted(beginnings) or beginnings[0]:
        raise ProofError("the commitment's policies are out of order")
    return found


def _number(value: Any, name: str) -> int:
    if type(value) is not int or not 0 <= value < MAX_SIZE:
        raise ProofError(f"the commitment's {name} is no number of shares")
    return value


def _hash(value: Any, name: str) -> str:
    if type(value) is not str or _HEX.fullmatch(value) is None:
        raise ProofError(f"the commitment's {name} is no hash")
    return value
