"""The one root of everything that this package raises."""

from __future__ import annotations


class PayoutError(Exception):
    """A broken node or a broken promise of the surrounding pool; never an expected outcome of a payment."""


class NodeUnavailable(PayoutError):
    """A node did not answer, or answered nonsense: nothing is known about what was asked."""


class BookLocked(PayoutError):
    """Another process writes this book."""


class InvoiceMalformed(PayoutError):
    """A text is not a valid BOLT 11 invoice; the message says which rule it breaks and never repeats it."""


class ImpossibleMove(PayoutError):
    """A payment was asked to make a move that its state does not allow: a bug, never an outcome."""


class RpcRefused(PayoutError):
    """A node answered a call with a JSON-RPC error: it understood, and said no.

    Attributes:
        code: the JSON-RPC error code, e.g. -4 or -26.
        message: what the node said.
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{message} ({code})")
        self.code = code
        self.message = message
