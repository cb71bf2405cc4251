"""A Lightning payment's life.

Theory.  A payment is an invoice, and at most one is ever on its way for a payment hash.  Money that may have
left is never given back: a hold is released only by a definite *failed* and debited only by a preimage.
Between the two there may be any number of attempts, all with the same invoice, so that the payee's node and
the hash itself keep them from being paid twice.

The record runs ahead of the world: *sending* is on disk before the node hears of it, so after a crash every
payment is either certainly unsent (*reserved*), or is asked about before anything else happens
(*sending*, *unknown*).  The node's answers are the events.  What they do not cover is impossible: a settled
payment that fails, or a failed one that settles, is a bug, and money stands still until somebody looks.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import attrs

from payouts.errors import ImpossibleMove
from payouts.values import PaymentState as S


class Event(StrEnum):
    """What can happen to a payment."""

    SEND = "send"  # the node is about to be asked to pay
    UNCLEAR = "unclear"  # its answer is not definite
    PAID = "paid"  # it shows a preimage that hashes to the payment hash
    REFUSED = "refused"  # it says that the payment failed and that it has stopped trying


class Hold(StrEnum):
    """What becomes of the money that is held for it."""

    KEPT = "kept"
    DEBITED = "debited"
    RELEASED = "released"
    GONE = "gone"  # it was debited or released before


@attrs.frozen
class Move:
    """Where a payment goes, and what happens to its hold on the way."""

    state: S
    hold: Hold


MOVES: Final[dict[S, dict[Event, Move]]] = {
    S.RESERVED: {
        Event.SEND: Move(S.SENDING, Hold.KEPT),
        Event.PAID: Move(S.SETTLED, Hold.DEBITED),  # the book is older than the node: a restored backup
        Event.REFUSED: Move(S.FAILED, Hold.RELEASED),  # expired before it was ever sent
    },
    S.SENDING: {
        Event.UNCLEAR: Move(S.UNKNOWN, Hold.KEPT),
        Event.PAID: Move(S.SETTLED, Hold.DEBITED),
        Event.REFUSED: Move(S.FAILED, Hold.RELEASED),
    },
    S.UNKNOWN: {
        Event.SEND: Move(S.SENDING, Hold.KEPT),  # the same invoice again
        Event.UNCLEAR: Move(S.UNKNOWN, Hold.KEPT),
        Event.PAID: Move(S.SETTLED, Hold.DEBITED),
        Event.REFUSED: Move(S.FAILED, Hold.RELEASED),
    },
    S.SETTLED: {Event.PAID: Move(S.SETTLED, Hold.GONE)},
    S.FAILED: {Event.REFUSED: Move(S.FAILED, Hold.GONE)},
}


def advance(state: S, event: Event) -> Move:
    """The move that an event makes.

    Raises:
        ImpossibleMove: the state has no such move.
    """
    move = MOVES[state].get(event)
    if move is None:
        raise ImpossibleMove(f"a payment that is {state} cannot take {event}")
    return move


def diagram() -> str:
    """The table as a Mermaid state diagram; ``docs/payouts.md`` holds it, and a test keeps the two alike."""
    lines = ["stateDiagram-v2", f"    [*] --> {S.RESERVED}: take (hold amount + max fee)"]
    for state, moves in MOVES.items():
        lines += [
            f"    {state} --> {move.state}: {event} (hold {move.hold})" for event, move in moves.items()
        ]
    lines += [f"    {end} --> [*]" for end in (S.SETTLED, S.FAILED)]
    return "\n".join(lines)
