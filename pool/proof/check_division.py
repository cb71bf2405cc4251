"""How a statement says that its block was divided: by which policies, to the last millisatoshi, adding up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import pairwise

from payouts.money import to_msat
from pool.errors import ProofError
from pool.proof.blockproof import Coinbase
from pool.proof.claims import Claims, Part, Window
from pool.proof.commitment import Adopted
from pool.proof.findings import Finding, decimal, exact, proven, unproven, wrong
from pool.proof.statement import Statement
from pool.proof.sums import FEE, RESERVE, RESIDUAL, account_leaf, claims_leaf, led_to
from pool.rewards.policy import AT_ONCE, WINDOWED, Scheme
from pool.rewards.pps import subsidy_at
from pool.rewards.split import BPS


def check_division(statement: Statement, coinbase: Coinbase | None) -> Iterator[Finding]:
    """Check policies, amounts, windows, credit and sum tree.  Args: coinbase: None when it is none."""
    yield from _policies(statement)
    yield from _windows(statement)
    yield from _value(statement.claims, coinbase)
    yield from _amounts(statement.claims, coinbase)
    yield from _credit(statement)
    yield from _sums(statement)


# ------------------------------------------------------------------------------------------------ policies


def _policies(statement: Statement) -> Iterator[Finding]:
    claims, size = statement.claims, statement.commitment.size
    adopted = statement.commitment.policies.get(claims.pot, ())
    for number, part in enumerate(claims.parts, 1):
        about = f"policy of part {number}"
        if part.terms_hash != part.policy_hash:
            yield wrong(about, "its terms are not those that its hash stands for")
        elif Adopted(part.after_share, part.policy_hash) in adopted:
            terms = f"{part.policy.text}, for shares after {part.after_share}"
            yield proven(about, f"the block fixes it: {terms}")
        elif part.after_share < size:
            yield wrong(about, f"it is none of pot {claims.pot!r} among those that the block fixed")
        else:
            yield unproven(about, "it was adopted after the commitment: the pool's next block fixes it")
    yield from _missing(claims, adopted)


def _missing(claims: Claims, adopted: Sequence[Adopted]) -> Iterator[Finding]:
    """The policy in force divides the block, and those before it come in their order."""
    last = claims.parts[-1]
    end = last.window.last_id if last.window else None
    newest = [each for each in adopted if end is None or each.after_share < end]
    if newest and newest[-1].after_share > last.after_share:
        yield wrong("policies", f"a policy for shares after {newest[-1].after_share} divides nothing")
    if any(before.after_share >= after.after_share for before, after in pairwise(claims.parts)):
        yield wrong("policies", "they are out of order")


# ------------------------------------------------------------------------------------------------- windows


def _windows(statement: Statement) -> Iterator[Finding]:
    claims, size = statement.claims, statement.commitment.size
    for number, part in enumerate(claims.parts, 1):
        about, window = f"window of part {number}", part.window
        if window is None:
            if part.policy.scheme not in {Scheme.SOLO} | AT_ONCE:
                yield wrong(about, f"{part.policy.scheme.value} has one, and none is given")
            continue
        if part is claims.parts[-1] and window.last_id < size:
            yield wrong(
                about, f"it ends with share {window.last_id}, and the log had {size} before the block"
            )
        yield from (wrong(about, fault) for fault in _window_faults(claims, part, window))


def _window_faults(claims: Claims, part: Part, window: Window) -> Iterator[str]:
    yield from _score_faults(claims, part, window)
    if window.border is not None and (window.border.share_id != window.first_id or not window.full):
        yield "the share that its border cuts is not its first one"
    if window.first_id and not part.after_share < window.first_id <= window.last_id:
        yield f"shares {window.first_id} to {window.last_id} are none after {part.after_share}"
    if not window.first_id and window.score:
        yield "it scores without a share"
    later = next((each for before, each in pairwise(claims.parts) if before is part), None)
    if later is not None and window.last_id > later.after_share:
        yield f"it reaches beyond share {later.after_share}, where its policy ends"


def _score_faults(claims: Claims, part: Part, window: Window) -> Iterator[str]:
    scheme, size, last = part.policy.scheme, part.policy.window, part is claims.parts[-1]
    if scheme in WINDOWED:
        if window.score > size or (last and window.full is not (window.score == size)):
            full = "full" if window.full else "not full"
            yield f"it scores {exact(window.score)} of {exact(size)} units and is said to be {full}"
    elif scheme is not Scheme.PROP:
        yield f"{scheme.value} has none"
    elif window.border is not None or window.full:
        yield "a round is not cut"


# ------------------------------------------------------------------------------------------------- amounts


def _value(claims: Claims, coinbase: Coinbase | None) -> Iterator[Finding]:
    if coinbase is None:
        return
    paid = to_msat(coinbase.paid)
    if claims.value != paid:
        yield wrong("value", f"the coinbase pays {paid} msat, and {claims.value} were divided")
    else:
        yield proven("value", f"all {paid} msat that the coinbase pays were divided")


def _amounts(claims: Claims, coinbase: Coinbase | None) -> Iterator[Finding]:
    """Each part's value, fee and rest, and that they make up the whole."""
    faults = [fault for number in range(len(claims.parts)) for fault in _part_faults(claims, number)]
    if sum(part.value for part in claims.parts) != claims.value:
        faults.append("the parts are not the whole")
    if sum(part.fee for part in claims.parts) != claims.fee:
        faults.append("the fees of the parts are not the whole fee")
    shares = _shares_of(claims, (coinbase and coinbase.height) or 0)
    given = [(part.value, part.reserve) for part in claims.parts]
    if shares is not None and shares != given:
        faults.append(f"the parts are {given} (msat, and what of it the reserve gets) instead of {shares}")
    yield from (wrong("division", fault) for fault in faults)
    if not faults:
        yield proven(
            "division", f"fee {claims.fee} msat by the policies' own rates, and nothing lost or made"
        )
    if shares is None:
        yield unproven("division", "how much an unfinished round got before the change of policy")


def _part_faults(claims: Claims, at: int) -> Iterator[str]:
    part = claims.parts[at]
    residual = claims.residual_in if at == len(claims.parts) - 1 else 0
    fee = (part.value - part.reserve) * part.policy.fee_bps // BPS
    if part.fee != fee:
        yield f"part {at + 1} pays a fee of {part.fee} msat instead of {fee}"
    if part.divided != part.value - part.fee - part.reserve + residual:
        yield f"part {at + 1} divides {part.divided} msat, which is not what its fee leaves"


def _shares_of(claims: Claims, height: int) -> list[tuple[int, int]] | None:
    """What each policy's shares are to get of the value, and what of it the reserve gets.

    None where it depends on work that only the whole log shows.
    """
    halving_blocks = max(part.policy.halving_blocks for part in claims.parts)
    subsidy = min(claims.value, int(subsidy_at(height, halving_blocks))) if halving_blocks else 0
    left = of_subsidy = Fraction(1)
    found: list[tuple[int, int]] = []
    for part in claims.parts[:-1]:
        if part.policy.scheme not in WINDOWED:
            return None
        promised = Fraction(part.total, part.policy.window)
        if promised > 1:  # which is named as a fault of its window
            return None
        own = Fraction(0) if part.policy.scheme in AT_ONCE else of_subsidy * promised
        found.append((int(subsidy * own + (claims.value - subsidy) * left * promised), 0))
        left, of_subsidy = left - left * promised, of_subsidy - own
    rest = claims.value - sum(value for value, _ in found)
    scheme = claims.parts[-1].policy.scheme
    reserve = int(subsidy * of_subsidy) if scheme is Scheme.PPS_PLUS else rest if scheme in AT_ONCE else 0
    return [*found, (rest, reserve)]


# ----------------------------------------------------------------------------------------- credit and sums


def _credit(statement: Statement) -> Iterator[Finding]:
    parts = statement.claims.parts
    if len(statement.own) != len(parts):
        yield wrong("credit", f"it is of {len(statement.own)} parts, and the block has {len(parts)}")
        return
    faults = 0
    for number, (part, own) in enumerate(zip(parts, statement.own, strict=True), 1):
        # more than all is named as a fault of the weight
        due = part.divided * min(own.weight, part.total) // part.total if part.total else 0
        if own.credit != due:
            faults += 1
            yield wrong("credit", f"part {number} brought {own.credit} msat, and its weight is worth {due}")
    if not faults:
        each = " + ".join(
            f"floor({part.divided} * {decimal(own.weight)} / {decimal(part.total)})"
            for part, own in zip(parts, statement.own, strict=True)
        )
        yield proven("credit", f"{statement.credit} msat = {each}")


def _sums(statement: Statement) -> Iterator[Finding]:
    claims, sums = statement.claims, statement.sums
    expected = _expected(statement)
    faults: list[str] = []
    for leaf in statement.leaves:
        if expected.get(leaf.name) != leaf.amount:
            faults.append(f"its leaf {leaf.name} of {leaf.amount} msat is not what the statement says")
        try:
            if led_to(leaf.name, leaf.amount, leaf.path, sums.size) != sums:
                faults.append(f"its leaf {leaf.name} does not lead to its root")
        except ProofError as error:
            faults.append(f"its leaf {leaf.name}: {error}")
    names = [leaf.name for leaf in statement.leaves]
    faults += [f"it has {names.count(name)} leaves {name}" for name in expected if names.count(name) != 1]
    if sums.total != claims.value + claims.residual_in:
        faults.append(f"it sums to {sums.total} msat, and {claims.value + claims.residual_in} were there")
    yield from (wrong("sums", fault) for fault in faults)
    if not faults:
        yield proven("sums", f"credit, fee and residual are leaves of a tree over exactly {sums.total} msat")


def _expected(statement: Statement) -> dict[str, int]:
    """The leaves that a statement has to show; where a reserve or an account got nothing, there is none."""
    claims = statement.claims
    reserve = sum(part.reserve for part in claims.parts)
    fixed = {FEE: claims.fee, RESIDUAL: claims.residual_out, claims_leaf(claims.memo): 0}
    may = {account_leaf(statement.account): statement.credit, RESERVE: reserve}
    return {**fixed, **{name: amount for name, amount in may.items() if amount}}
