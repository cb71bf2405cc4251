"""Bech32 without a length limit, against the specification's own strings."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payouts import bech32

groups = st.lists(st.integers(0, 31), max_size=300)


@pytest.mark.parametrize(
    "valid",
    [
        "A12UEL5L",
        "a12uel5l",
        "an83characterlonghumanreadablepartthatcontainsthenumber1andtheexcludedcharactersbio1tt5tgs",
        "abcdef1qpzry9x8gf2tvdw0s3jn54khce6mua7lmqqqxw",
        "split1checkupstagehandshakeupstreamerranterredcaperred2y9e3w",
        "?1ezyfcl",
    ],
)
def test_the_specs_valid_strings_are_read(valid: str) -> None:
    parts = bech32.split(valid)
    assert parts is not None
    assert bech32.encode(*parts) == valid.lower()


@pytest.mark.parametrize(
    "invalid",
    [
        "\x201nwldj5",
        "\x7f1axkwrx",
        "pzry9x0s0muk",
        "1pzry9x0s0muk",
        "x1b4n0q5v",
        "li1dgmt3",
        "A1G7SGD8",
        "a12UEL5L",
    ],
)
def test_the_specs_invalid_strings_are_refused(invalid: str) -> None:
    assert bech32.split(invalid) is None


@given(groups)
def test_what_is_encoded_is_read(values: list[int]) -> None:
    assert bech32.split(bech32.encode("lnbcrt", values)) == ("lnbcrt", values)


@given(st.binary(max_size=100))
def test_bytes_survive_as_groups(data: bytes) -> None:
    assert bech32.whole_bytes(bech32.to_groups(data)) == data


@given(st.text(max_size=60))
def test_no_text_makes_it_fail(text: str) -> None:
    parts = bech32.split(text)
    assert parts is None or bech32.encode(*parts) == text.lower()


def test_padding_fills_up_with_zero_bits() -> None:
    assert bech32.padded_bytes([31]) == b"\xf8"
    assert bech32.whole_bytes([31]) == b""
    assert bech32.padded_bytes([]) == b""
