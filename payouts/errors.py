"""The one root of everything that this package raises."""

from __future__ import annotations


class PayoutError(Exception):
    """A broken node or a broken promise of the surrounding pool; never an expected outcome of a payment."""


class NodeUnavailable(PayoutError):
    """A node did not answer, or answered nonsense: nothing is known about what was asked."""


class BookLocked(PayoutError):
    """Another process writes this book."""
