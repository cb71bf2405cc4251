"""The BOLT 11 decoder: reads what is written, refuses what is bent, and never fails in any other way."""

from __future__ import annotations

import attrs
import bolt11
import pytest
from coincurve import PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from payouts import bech32
from payouts.errors import InvoiceMalformed
from payouts.invoice import Hop, Network, decode, digest, proves, second_opinion
from payouts.money import Msat
from tests.payouts.invoices import (
    MADE_S,
    PAYEE,
    PAYEE_KEY,
    Draft,
    body,
    invoice,
    payment_hash,
    preimage,
    write,
)

HOP = Hop(node_id=PAYEE, channel=1 << 40, base=Msat(4_000_000_000), ppm=3_000_000_000, cltv_delta=40)

# BOLT 11's own examples: "please consider supporting this project" and the 2500u cup of coffee
SPEC_DONATION = (
    "lnbc1pvjluezsp5zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zygspp5qqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqqqsyqcyq5"
    "rqwzqfqypqdpl2pkx2ctnv5sxxmmwwd5kgetjypeh2ursdae8g6twvus8g6rfwvs8qun0dfjkxaq9qrsgq357wnc5r2ueh7ck6q93dj32dlqnls08"
    "7fxdwk8qakdyafkq3yap9us6v52vjjsrvywa6rt52cm9r9zqt8r2t7mlcwspyetp5h2tztugp9lfyql"
)
SPEC_COFFEE = (
    "lnbc2500u1pvjluezsp5zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zygspp5qqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqqqsyq"
    "cyq5rqwzqfqypqdq5xysxxatsyp3k7enxv4jsxqzpu9qrsgquk0rl77nj30yxdy8j9vdx85fkpmdla2087ne0xh8nhedh8w27kyke0lp53ut353s0"
    "6fv3qfegext0eh0ymjpf39tuven09sam30g4vgpfna3rh"
)
SPEC_NODE = "03e7156ae33b0a208d0744199163177e909e80176e55d97a2f221ede0f934dd9ad"


def test_it_reads_the_specs_donation() -> None:
    read = decode(SPEC_DONATION)
    assert (read.network, read.amount, read.payee) == (Network.MAINNET, None, SPEC_NODE)
    assert read.description == "Please consider supporting this project"
    assert read.expires_s == read.timestamp_s + 3600 == 1496314658 + 3600
    assert read.features == {8, 14}


def test_it_reads_the_specs_coffee_in_either_case() -> None:
    read = decode(SPEC_COFFEE)
    assert (read.amount, read.expires_s) == (250_000_000, 1496314658 + 60)
    assert decode(SPEC_COFFEE.upper()) == read


def test_it_refuses_mixed_case() -> None:
    with pytest.raises(InvoiceMalformed, match="bech32"):
        decode(SPEC_COFFEE.replace("lnbc", "LNBC"))


def test_a_long_invoice_is_refused_before_it_is_read() -> None:
    with pytest.raises(InvoiceMalformed, match="too long"):
        decode(SPEC_COFFEE + "q" * 1500)


@pytest.mark.parametrize(
    ("human", "network", "amount"),
    [
        ("lnbcrt", Network.REGTEST, None),
        ("lntb1", Network.TESTNET, 10**11),
        ("lntbs20m", Network.SIGNET, 2 * 10**9),
        ("lnbc1u", Network.MAINNET, 10**5),
        ("lnbcrt7n", Network.REGTEST, 700),
        ("lnbcrt10p", Network.REGTEST, 1),
        ("lnbc9678785340p", Network.MAINNET, 967_878_534),
    ],
)
def test_amounts_are_exact(human: str, network: Network, amount: int | None) -> None:
    read = decode(write(Draft(human=human)))
    assert (read.network, read.amount) == (network, amount)


@pytest.mark.parametrize(
    "human",
    [
        "lnbc11p",
        "lnbcrt01u",
        "lnbcrt0",
        "lnbcrt1x",
        "lnbcrt-1u",
        "lnxy1u",
        "bc1u",
        "lnbc22000000",
        "lnbcrt1uu",
    ],
)
def test_amounts_and_prefixes_that_are_not_allowed_are_refused(human: str) -> None:
    with pytest.raises(InvoiceMalformed):
        decode(write(Draft(human=human)))


@pytest.mark.parametrize("lacking", [Draft(payment_hash=None), Draft(secret=None)])
def test_an_invoice_without_hash_or_secret_is_refused(lacking: Draft) -> None:
    with pytest.raises(InvoiceMalformed, match="lacks"):
        decode(write(lacking))


def test_a_field_of_the_wrong_length_is_passed_over() -> None:
    extra = (("p", (1,) * 51), ("h", (0,) * 53), ("n", (3,) * 52), ("v", (1, 2)))
    assert decode(write(Draft(extra=extra))) == decode(write(Draft()))


@pytest.mark.parametrize("letter", ["p", "s", "d", "x", "9"])
def test_a_field_that_comes_twice_is_refused(letter: str) -> None:
    with pytest.raises(InvoiceMalformed, match="twice"):
        decode(write(Draft(expiry_s=60, extra=((letter, (1,) * 52),))))


def test_route_hint_fees_are_unsigned() -> None:
    hint = (HOP, attrs.evolve(HOP, base=Msat(1), ppm=2))
    assert decode(write(Draft(hints=(hint, (HOP,))))).hints == (hint, (HOP,))


def test_a_cut_route_hint_is_refused() -> None:
    with pytest.raises(InvoiceMalformed, match="route hint"):
        decode(write(Draft(extra=(("r", (0,) * 80),))))


def test_a_route_hint_through_what_is_no_public_key_is_refused() -> None:
    with pytest.raises(InvoiceMalformed, match="route hint"):
        decode(write(Draft(hints=((attrs.evolve(HOP, node_id="04" + "11" * 32),),))))


def test_an_oversized_expiry_is_refused() -> None:
    with pytest.raises(InvoiceMalformed, match="oversized"):
        decode(write(Draft(extra=(("x", (1,) * 13),))))


def test_a_description_must_be_utf8() -> None:
    with pytest.raises(InvoiceMalformed, match="UTF-8"):
        decode(write(Draft(description=b"\xff\xfe")))


def test_a_named_payee_must_have_signed() -> None:
    named = Draft(payee=PAYEE_KEY.public_key.format())
    assert decode(write(named)).payee == PAYEE
    with pytest.raises(InvoiceMalformed, match="signature"):
        decode(write(named, PrivateKey(b"\x33" * 32)))


def test_a_signature_of_nonsense_is_refused() -> None:
    groups = body(Draft())
    with pytest.raises(InvoiceMalformed, match="signature"):
        decode(bech32.encode("lnbcrt10u", [*groups, *bech32.to_groups(b"\x00" * 64 + b"\x05")]))


def test_a_field_that_runs_into_the_signature_is_refused() -> None:
    groups = [*body(Draft()), bech32.ALPHABET.index("d"), 31, 31]
    with pytest.raises(InvoiceMalformed, match="ends within"):
        decode(bech32.encode("lnbcrt10u", [*groups, *[0] * 104]))


def test_both_decoders_agree_on_an_ordinary_invoice() -> None:
    text = invoice(3, sat=21)
    assert second_opinion(text, decode(text))


def test_disagreement_on_anything_that_matters_is_seen() -> None:
    text = invoice(3)
    read = decode(text)
    for change in (
        {"payment_hash": payment_hash(4)},
        {"amount": Msat(1)},
        {"expires_s": read.expires_s + 1},
        {"payee": SPEC_NODE},
    ):
        assert not second_opinion(text, attrs.evolve(read, **change))


def test_a_second_decoder_that_fails_does_not_agree() -> None:
    assert not second_opinion("lnbc1nonsense", decode(invoice()))


def test_a_preimage_proves_its_payment_hash() -> None:
    assert digest(preimage(5)) == payment_hash(5)
    assert proves(preimage(5), payment_hash(5))
    for text in (preimage(6), preimage(5)[2:], preimage(5) + "00", "zz" * 32, ""):
        assert not proves(text, payment_hash(5))


@given(
    sat=st.integers(1, 10**8),
    made_s=st.integers(0, 2**35 - 1),
    expiry_s=st.integers(0, 2**31),
    final_cltv=st.integers(0, 2**20),
    description=st.text(max_size=60),
    features=st.frozensets(st.integers(0, 60)),
    secret=st.binary(min_size=32, max_size=32),
)
def test_what_is_written_is_read(
    sat: int,
    made_s: int,
    expiry_s: int,
    final_cltv: int,
    description: str,
    features: frozenset[int],
    secret: bytes,
) -> None:
    draft = Draft(
        human=f"lnbcrt{sat * 10}n",
        timestamp_s=made_s,
        payment_hash=secret[::-1],
        secret=secret,
        description=description.encode(),
        expiry_s=expiry_s,
        final_cltv=final_cltv,
        features=sum(1 << bit for bit in features),
    )
    read = decode(write(draft))
    assert (read.amount, read.timestamp_s, read.expires_s) == (sat * 1000, made_s, made_s + expiry_s)
    assert (read.final_cltv, read.description, read.features) == (final_cltv, description, features)
    assert (read.payment_hash, read.payee) == (secret[::-1].hex(), PAYEE)


@given(st.text(max_size=200))
def test_no_text_makes_it_fail_otherwise(text: str) -> None:
    with pytest.raises(InvoiceMalformed):
        decode(text)


@given(st.data())
def test_no_change_of_a_letter_survives_the_checksum(data: st.DataObject) -> None:
    text = invoice(7)
    place = data.draw(st.integers(0, len(text) - 1))
    letter = data.draw(st.sampled_from([c for c in bech32.ALPHABET + "1b" if c != text[place]]))
    with pytest.raises(InvoiceMalformed):
        decode(text[:place] + letter + text[place + 1 :])


@given(st.lists(st.integers(0, 31), max_size=280), st.sampled_from(["lnbcrt10u", "lnbc", "lntbs1m"]))
def test_anything_under_a_good_checksum_fails_only_as_malformed(groups: list[int], human: str) -> None:
    try:
        read = decode(bech32.encode(human, groups))
    except InvoiceMalformed:
        return
    assert len(read.payment_hash) == 64


@given(place=st.integers(0, 400), flipped=st.integers(1, 31))
def test_a_bent_invoice_with_a_mended_checksum_is_malformed_or_signed_by_somebody_else(
    place: int, flipped: int
) -> None:
    """The signature covers everything: a change is seen, or makes a payee that nobody has the key of."""
    human, groups = bech32.split(invoice(7)) or ("", [])
    where = place % len(groups)
    groups[where] ^= flipped
    try:
        read = decode(bech32.encode(human, groups))
    except InvoiceMalformed:
        return
    assert read.payee != PAYEE or where >= len(groups) - 1


def test_the_tests_writer_is_read_by_the_bolt11_package() -> None:
    other = bolt11.decode(invoice(9, sat=1234, expiry_s=77))
    assert (other.amount_msat, other.expiry, other.date) == (1_234_000, 77, MADE_S)
