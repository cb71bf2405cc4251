"""The mask is never more than both sides allow, and nothing a miner writes raises."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stratum.rolling import negotiate

MASK, COUNT = "version-rolling.mask", "version-rolling.min-bit-count"


@pytest.mark.parametrize(
    ("parameters", "mask"),
    [
        ({}, 0x1FFFE000),
        ({MASK: "ffffffff"}, 0x1FFFE000),
        ({MASK: "00C00000"}, 0x00C00000),
        ({MASK: "00c00000", COUNT: 2}, 0x00C00000),
        ({MASK: "00c00000", COUNT: 3}, 0),
        ({MASK: "00c00000", "version-rolling.bit-count": 3}, 0),
        ({MASK: "00c00000", COUNT: "2"}, 0x00C00000),
        ({MASK: "00000001"}, 0),
        ({MASK: 7}, 0),
        ({MASK: ""}, 0),
        ({MASK: "wxyz"}, 0),
        ({MASK: "1_f"}, 0),
        ({MASK: "1fffe0000"}, 0),
    ],
)
def test_the_mask_is_what_both_sides_allow(parameters: dict[str, object], mask: int) -> None:
    assert negotiate(parameters) == mask


@given(st.dictionaries(st.sampled_from([MASK, COUNT]), st.none() | st.integers() | st.text() | st.floats()))
def test_any_parameters_give_a_mask_within_ours(parameters: dict[str, object]) -> None:
    assert negotiate(parameters) | 0x1FFFE000 == 0x1FFFE000
