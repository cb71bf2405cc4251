"""How a pool says that it divided a block: the memo of the reward, read by somebody who does not trust it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from fractions import Fraction
from typing import Any, Final

import attrs

from pool.errors import ProofError
from pool.proof import fields
from pool.proof.sums import CLAIMED
from pool.rewards.policy import WINDOWED, Policy, Scheme, policy_of

MAX_PARTS: Final = 1000
_PART: Final = (
    "policy",
    "policy_hash",
    "after_share",
    "value_msat",
    "fee_msat",
    "reserve_msat",
    "divided_msat",
    "window",
)
_WINDOW: Final = ("last_id", "first_id", "full", "score", "border")
_MAX_TERMS: Final = 32


@attrs.frozen
class Border:
    """The share that a window's border cuts.  Attributes: log id, and the score still inside."""

    share_id: int
    part: Fraction


@attrs.frozen
class Window:
    """The shares that a part of the block was divided among; see pool.shares.Window."""

    last_id: int
    first_id: int
    full: bool
    score: Fraction
    border: Border | None

    def has(self, share_id: int) -> bool:
        """Whether a share with this log id lies in it."""
        return self.first_id <= share_id <= self.last_id


@attrs.frozen
class Part:
    """What the shares of one policy got.

    Attributes:
        policy: as its terms say.
        terms_hash: hex hash of the terms that are given.
        policy_hash: hex hash that the pool names it by.
        after_share: log id after which it holds.
        value: of the block, msat, before the fee.
        fee: msat.
        reserve: msat that went where its shares had been paid from.
        divided: msat.
        window: None where the finder got it all, or the reserve.
    """

    policy: Policy
    terms_hash: str
    policy_hash: str
    after_share: int
    value: int
    fee: int
    reserve: int
    divided: int
    window: Window | None

    @property
    def total(self) -> Fraction:
        """W, what it was divided by: the window's score; the whole, where the finder got it."""
        if self.window is not None:
            return self.window.score
        return Fraction(1 if self.policy.scheme is Scheme.SOLO else 0)


@attrs.frozen
class Claims:
    """What the pool says to everyone alike about the division of a block.

    Attributes:
        memo: as it was read, for the hash that the sum tree carries.
        pot: whose shares it was divided among.
        value: G, msat.
        fee: msat.
        residual_in: msat left over by earlier blocks.
        residual_out: msat left over by this one.
        parts: oldest policy first; at least one.
    """

    memo: Mapping[str, Any] = attrs.field(repr=False)
    pot: str
    value: int
    fee: int
    residual_in: int
    residual_out: int
    parts: tuple[Part, ...]


def claims_of(memo: Mapping[str, Any]) -> Claims:
    """The claims in a reward's memo; what else is in it is not looked at.

    Raises:
        ProofError: it does not say how its block was divided (as those from before policies were written
            down do not).
    """
    missing = [name for name in CLAIMED if name not in memo]
    if missing:
        raise ProofError(f"the reward does not say its {missing[0]}: it is older than proofs")
    return read({name: memo[name] for name in CLAIMED})


def read(value: Any) -> Claims:
    """Read claims; strict.

    Raises:
        ProofError: something is missing, too much, or not what it has to be.
    """
    memo = fields.members(value, CLAIMED, "the reward")
    parts = fields.items(memo["parts"], MAX_PARTS, "the reward's parts", _part)
    if not parts:
        raise ProofError("the reward has no parts")
    return Claims(
        memo=memo,
        pot=fields.token(memo["pot"], "the reward's pot"),
        value=fields.amount(memo["value_msat"], "the reward's value"),
        fee=fields.amount(memo["fee_msat"], "the reward's fee"),
        residual_in=fields.amount(memo["residual_in_msat"], "the reward's residual_in"),
        residual_out=fields.amount(memo["residual_out_msat"], "the reward's residual_out"),
        parts=parts,
    )


def _part(value: Any) -> Part:
    part = fields.members(value, _PART, "a part of the reward")
    policy, terms_hash = _policy(part["policy"])
    return Part(
        policy=policy,
        terms_hash=terms_hash,
        policy_hash=fields.digest(part["policy_hash"], "a policy's hash").hex(),
        after_share=fields.number(part["after_share"], "a policy's after_share"),
        value=fields.amount(part["value_msat"], "a part's value"),
        fee=fields.amount(part["fee_msat"], "a part's fee"),
        reserve=fields.amount(part["reserve_msat"], "a part's reserve"),
        divided=fields.amount(part["divided_msat"], "a part's divided"),
        window=None if part["window"] is None else _window(part["window"]),
    )


def _window(value: Any) -> Window:
    window = fields.members(value, _WINDOW, "a window")
    border = window["border"]
    return Window(
        last_id=fields.number(window["last_id"], "a window's last_id"),
        first_id=fields.number(window["first_id"], "a window's first_id"),
        full=fields.truth(window["full"], "a window's full"),
        score=fields.fraction(window["score"], "a window's score"),
        border=None if border is None else _border(border),
    )


def _border(value: Any) -> Border:
    border = fields.members(value, ("share_id", "part"), "a window's border")
    return Border(
        fields.number(border["share_id"], "a border's share_id"),
        fields.fraction(border["part"], "a border's part"),
    )


def _policy(value: Any) -> tuple[Policy, str]:
    """The policy, and the hash of its terms as they are given: later versions may know more of them."""
    if not isinstance(value, dict) or len(value) > _MAX_TERMS:
        raise ProofError("a policy has no terms")
    for name, term in value.items():
        where = f"the policy's {fields.token(name, 'the name of a term')}"
        if type(term) is int:
            fields.number(term, where)
        else:
            fields.token(term, where)
    if "window" in value:
        fields.fraction(value["window"], "the policy's window")
    fields.number(value.get("fee_bps"), "the policy's fee_bps", most=10_000)
    try:
        policy = policy_of(value)
    except (ValueError, KeyError) as error:
        raise ProofError("a policy has terms that this version does not know") from error
    if policy.window <= 0 or (policy.scheme in WINDOWED) is not ("window" in value):
        raise ProofError("a policy's window is none")
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return policy, hashlib.sha256(text.encode()).hexdigest()
