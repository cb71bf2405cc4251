"""The bolt11 package as a second decoder of invoices, with its slowest step made ten times as fast.

That step, from groups of five bits to one array, decides nothing: it takes 4.5 of the package's 5 ms, and
what takes its place is held to it by a test.  The package itself stays as it is: this module runs a copy of
its function that finds the other step under the same name.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import FunctionType
from typing import Any, Final

import bolt11
from bitstring import BitArray

_STEP: Final = "u5_to_bitarray"


def joined(groups: Sequence[int]) -> BitArray:
    """What ``bolt11.bit_utils.u5_to_bitarray`` makes of groups of five bits, at once."""
    return BitArray(bin="".join(f"{group:05b}" for group in groups))


def _with_step(function: Any) -> Any:
    """The function with the step replaced; as it is, in a release that has no such step."""
    names = function.__globals__
    if _STEP not in names:
        return function
    copy = FunctionType(function.__code__, {**names, _STEP: joined}, function.__name__, function.__defaults__)
    copy.__kwdefaults__ = function.__kwdefaults__
    return copy


decode: Final[Any] = _with_step(bolt11.decode)
"""``bolt11.decode``, and as untyped as that: it may raise anything."""
