"""The second decoder reads what the package reads, step by step and as a whole."""

from __future__ import annotations

import bolt11
import pytest
from bolt11.bit_utils import u5_to_bitarray
from bolt11.exceptions import Bolt11Bech32InvalidException
from hypothesis import given
from hypothesis import strategies as st

from payouts import second_decoder
from tests.payouts.invoices import Draft, invoice, write


@given(st.lists(st.integers(0, 31), max_size=300))
def test_the_step_that_was_replaced_makes_the_same_of_any_groups(groups: list[int]) -> None:
    assert second_decoder.joined(groups) == u5_to_bitarray(groups)


@pytest.mark.parametrize(
    "text",
    [
        invoice(1),
        invoice(2, sat=21, expiry_s=60),
        write(Draft(description=None, description_hash=b"\x33" * 32)),
        write(Draft(payee=None, final_cltv=144, expiry_s=None)),
    ],
)
def test_an_invoice_is_read_as_by_the_package(text: str) -> None:
    ours, theirs = second_decoder.decode(text), bolt11.decode(text)
    assert ours.data == theirs.data
    assert ours.data["payment_hash"]
    assert ours.payee == theirs.payee is not None
    assert second_decoder.decode is not bolt11.decode  # else the step has another name in this release


def test_what_the_package_refuses_is_refused() -> None:
    with pytest.raises(Bolt11Bech32InvalidException):
        second_decoder.decode("lnbcrt1nonsense")
