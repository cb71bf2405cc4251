"""What rows beside the journal must say: states that there are, blocks and claims as they came."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Set
from typing import Final

from payouts.values import BatchState, PaymentState
from pool.store.audit import Audit, BlockRow, FoundRow
from pool.store.blocks import BlockState

_BLOCK: Final = {state.value for state in BlockState}
_PAYMENT: Final = {state.value for state in PaymentState}
_BATCH: Final = {state.value for state in BatchState}


def check_rows(audit: Audit, wrong: Callable[[str], None]) -> None:
    """Name every row that no writer of ours can have left so.

    Args:
        audit: the files.
        wrong: told each difference in a sentence.
    """
    found = audit.found()
    for block in audit.blocks():
        if found.get(block.found_id) != found_row(block):
            wrong(f"block {block.hash}: the share log does not have it as found {block.found_id}")
    for name, state, known in _states(audit):
        if state not in known:
            wrong(f"{name}: there is no state {state!r}")
    for number in audit.unclaimed():
        wrong(f"payment L{number}: its claim was for another account or invoice")


def _states(audit: Audit) -> Iterator[tuple[str, str, Set[str]]]:
    """Whatever has a state, that state, and those that there are."""
    yield from ((f"block {block.hash}", block.state, _BLOCK) for block in audit.blocks())
    yield from ((f"payment L{payment.id}", payment.state, _PAYMENT) for payment in audit.payments())
    yield from ((f"batch B{batch.id}", batch.state, _BATCH) for batch in audit.batches())


def found_row(block: BlockRow) -> FoundRow:
    """A block of the books as its front must have written it down."""
    return FoundRow(block.hash, block.share_id, block.account, block.pot, block.height, block.found_ms)
