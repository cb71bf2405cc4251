"""Signed messages: the vectors of BIP 322, wallets' spellings of the older form, and what is not one."""

from __future__ import annotations

import base64

import pytest
from coincurve import PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from payouts import signed
from pool.accounts import output_script

P2WPKH = "bc1q9vza2e8x573nczrlzms0wvx3gsqjx7vavgkx0l"
EMPTY_1 = (
    "AkcwRAIgM2gBAQqvZX15ZiysmKmQpDrG83avLIT492QBzLnQIxYCIBaTpOaD20qRlEylyxFSeEA2ba9YOixpX8z46TSDtS40"
    "ASECx/EgAxlkQpQ9hYjgGu6EBCPMVPwVIVJqO4XCsMvViHI="
)
EMPTY_2 = (
    "AkgwRQIhAPkJ1Q4oYS0htvyuSFHLxRQpFAY56b70UvE7Dxazen0ZAiAtZfFz1S6T6I23MWI2lK/pcNTWncuyL8UL+oMdydVg"
    "zAEhAsfxIAMZZEKUPYWI4BruhAQjzFT8FSFSajuFwrDL1Yhy"
)
HELLO_1 = (
    "AkcwRAIgZRfIY3p7/DoVTty6YZbWS71bc5Vct9p9Fia83eRmw2QCICK/ENGfwLtptFluMGs2KsqoNSk89pO7F29zJLUx9a/s"
    "ASECx/EgAxlkQpQ9hYjgGu6EBCPMVPwVIVJqO4XCsMvViHI="
)
HELLO_2 = (
    "AkgwRQIhAOzyynlqt93lOKJr+wmmxIens//zPzl9tqIOua93wO6MAiBi5n5EyAcPScOjf1lAqIUIQtr3zKNeavYabHyR8eGh"
    "owEhAsfxIAMZZEKUPYWI4BruhAQjzFT8FSFSajuFwrDL1Yhy"
)
TAPROOT = "bc1pss0zhytly75awhm6x2hhvd5lnzv3vssgrf9axfheq8ldyzn88ges79fler"
TAPROOT_NO_PREFIX = "AUCJYOwOjxYAvatTAGYaVlNXBVyFuc4MwNQkOuK2tl8xhfKDONd0NjfYyNSYcRqeCp8hsAnCEPHAVEkO9h6vbQ/R"
GENERATED = "bc1p9cyuceaazr8cz46mvgkzl94wy397mwpqsrk84su37t72jvkg6wzqv52nfp"
GENERATED_SIGNED = "AUBay6NwR4LEYedkTG+vE9F7C0RTOCB5NH6ZAqf+3hudjHIkOzSZk1jW/5Kt0wRKX3llJ25os+0qktdou4/Y8516"
MULTISIG = "bc1qp0ahvfh83088w49k405szqgg4f3pptr7p2g06tdxfjcd40z4lh4q95lsz9"

KEY = PrivateKey(b"\x07" * 32)
COMPRESSED = KEY.public_key.format()
SCRIPTS = {
    "p2pkh": signed._p2pkh(COMPRESSED),
    "p2pkh uncompressed": signed._p2pkh(KEY.public_key.format(compressed=False)),
    "p2wpkh": signed._p2wpkh(COMPRESSED),
    "p2sh-p2wpkh": signed._p2sh(signed._p2wpkh(COMPRESSED)),
}
TEXT = "https://pool.example account x: give me claim link 00"


def script(address: str) -> bytes:
    found = output_script(address, "mainnet")
    assert found is not None
    return found


def signed_message(text: str, header: int) -> str:
    """As a wallet makes it: header, r, s."""
    length = len(text.encode())
    size = bytes([length]) if length < 253 else b"\xfd" + length.to_bytes(2, "little")
    digest = signed._sha256d(b"\x18Bitcoin Signed Message:\n" + size + text.encode())
    compact = KEY.sign_recoverable(digest, hasher=None)
    return base64.b64encode(bytes([header + compact[64]]) + compact[:64]).decode()


@pytest.mark.parametrize(
    ("address", "text", "signature"),
    [
        (P2WPKH, "", EMPTY_1),
        (P2WPKH, "", EMPTY_2),
        (P2WPKH, "", "smp" + EMPTY_1),
        (P2WPKH, "Hello World", HELLO_1),
        (P2WPKH, "Hello World", HELLO_2),
        (P2WPKH, "Hello World", f" {HELLO_1[:60]}\n{HELLO_1[60:]}\n"),
        (TAPROOT, "No prefix fallback", TAPROOT_NO_PREFIX),
        (GENERATED, "TPIZPITUIHEUHO5ACOL6W6MBVD", GENERATED_SIGNED),
    ],
)
def test_the_vectors_of_bip_322_are_good(address: str, text: str, signature: str) -> None:
    assert signed.objection(script(address), text, signature) is None
    assert signed.objection(script(address), text + ".", signature) is not None


def test_the_virtual_transaction_is_the_one_of_bip_322() -> None:
    known = {
        "": "c5680aa69bb8d860bf82d4e9cd3504b55dde018de765a91bb566283c545a99a7",
        "Hello World": "b79d196740ad5217771c1098fc4a4b51e0535c32236c71f1ea4d61a2d603352b",
    }
    assert {text: signed._to_spend(script(P2WPKH), text)[::-1].hex() for text in known} == known


@pytest.mark.parametrize(
    ("address", "text", "signature", "words"),
    [
        (P2WPKH, "", "not-valid-base64!!!", "pasted whole"),
        (P2WPKH, "", "", "pasted whole"),
        (P2WPKH, "", "smpAA==", "not of this address"),
        (P2WPKH, "", "fooAA==", "pasted whole"),
        (P2WPKH, "", "ful" + EMPTY_1, "pasted whole"),
        (P2WPKH, "", "A" * 1001, "pasted whole"),
        (P2WPKH, "", "é" * 8, "pasted whole"),
        (MULTISIG, "", EMPTY_1, "single key"),
        (GENERATED, "No prefix fallback", TAPROOT_NO_PREFIX, "not of this address"),
        (P2WPKH, "Hello World", EMPTY_1, "not of this address"),
    ],
)
def test_what_is_no_signature_is_told_so(address: str, text: str, signature: str, words: str) -> None:
    assert words in (signed.objection(script(address), text, signature) or "")


@pytest.mark.parametrize(
    ("kind", "header"),
    [
        ("p2pkh", 31),
        ("p2pkh uncompressed", 27),
        ("p2wpkh", 31),  # Electrum
        ("p2wpkh", 39),  # BIP 137
        ("p2sh-p2wpkh", 31),
        ("p2sh-p2wpkh", 35),
    ],
)
def test_a_signed_message_is_good_in_every_wallets_spelling(kind: str, header: int) -> None:
    signature = signed_message(TEXT * 6, header)
    assert signed.objection(SCRIPTS[kind], TEXT * 6, signature) is None
    assert signed.objection(SCRIPTS[kind], TEXT, signature) is not None


def test_a_signature_of_another_key_is_refused_for_every_form() -> None:
    other = PrivateKey(b"\x08" * 32).public_key.format()
    for elsewhere in (signed._p2pkh(other), signed._p2wpkh(other), signed._p2sh(signed._p2wpkh(other))):
        assert signed.objection(elsewhere, TEXT, signed_message(TEXT, 31)) is not None


def witness(*items: bytes) -> str:
    return base64.b64encode(bytes([len(items)]) + b"".join(bytes([len(i)]) + i for i in items)).decode()


@pytest.mark.parametrize("kind", ["p2wpkh", "p2sh-p2wpkh"])
def test_a_witness_is_good_only_with_its_own_key_and_all_of_the_transaction_signed(kind: str) -> None:
    outpoint = signed._to_spend(SCRIPTS[kind], TEXT) + bytes(4)
    der = KEY.sign(signed._segwit_hash(SCRIPTS["p2pkh"], outpoint), hasher=None)

    def judge(*items: bytes) -> str | None:
        return signed.objection(SCRIPTS[kind], TEXT, witness(*items))

    assert judge(der + b"\x01", COMPRESSED) is None
    assert judge(der + b"\x02", COMPRESSED) is not None
    assert judge(der, COMPRESSED) is not None
    assert judge(der + b"\x01", KEY.public_key.format(compressed=False)) is not None
    assert judge(der + b"\x01", COMPRESSED, b"") is not None
    assert judge(b"", COMPRESSED) is not None


@given(st.sampled_from(sorted(SCRIPTS)), st.binary(max_size=200))
def test_no_bytes_are_a_signature_by_chance_and_none_raise(kind: str, raw: bytes) -> None:
    assert signed.objection(SCRIPTS[kind], TEXT, base64.b64encode(raw).decode())


@given(st.binary(min_size=1, max_size=4), st.integers(0, 100))
def test_no_changed_byte_leaves_a_signature_good(noise: bytes, place: int) -> None:
    raw = bytearray(base64.b64decode(HELLO_1))
    changed = bytes(raw[:place]) + noise + bytes(raw[place + len(noise) :])
    if changed != bytes(raw):
        assert signed.objection(script(P2WPKH), "Hello World", base64.b64encode(changed).decode())


def test_the_text_to_sign_fits_the_signers_with_the_least_room() -> None:
    text = signed.ownership_message("https://pool.example", "bc1p" + "q" * 58, "0" * 32, 1_800_000_000)
    assert text.endswith("Void from 2027-01-15T08:00:00Z")
    assert len(text) <= 240  # Coldcard's bound; it takes no line breaks and no double spaces either
    assert text.isascii()
    assert text.isprintable()
    assert "  " not in text
