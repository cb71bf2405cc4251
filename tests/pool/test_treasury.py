"""Descriptors from offline machines: which are taken, what is derived from them, and that keys never are."""

from __future__ import annotations

import pytest
from bdkpython import Descriptor, DescriptorSecretKey, KeychainKind, Mnemonic, NetworkKind

from payouts.money import Msat, Sat
from pool import ledger
from pool.errors import ConfigError, LedgerError
from pool.treasury import LAST_INDEX, checked, derive, transfer

WORDS = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about"
# BIP 84's own test vectors are of this mnemonic, account 0 on mainnet
ZPUB_FIRST = "bc1qcr8te4kr609gcawutmrza0j4xv80jy8z306fyu"
ZPUB_SECOND = "bc1qnjg0jd8228aq7egyzacy8cys3knf9xvrerkf9g"
BIP86_FIRST = "bc1p5cyxnuxmeuwuvkwfem96lqzszd02n6xdcjrs20cac6yqjjwudpxqkedrcr"


def public(kind: str = "84", network: NetworkKind = NetworkKind.MAIN) -> str:
    return str(secret(kind, network))


def secret(kind: str = "84", network: NetworkKind = NetworkKind.MAIN) -> Descriptor:
    key = DescriptorSecretKey(network, Mnemonic.from_string(WORDS), None)
    made: Descriptor = getattr(Descriptor, f"new_bip{kind}")(key, KeychainKind.EXTERNAL, network)
    return made


def bare(text: str) -> str:
    return text.partition("#")[0]


def key_of(text: str) -> str:
    return bare(text)[len("wpkh(") : -1]


@pytest.mark.parametrize(("kind", "addresses"), [("84", [ZPUB_FIRST, ZPUB_SECOND]), ("86", [BIP86_FIRST])])
def test_the_vectors_of_the_bips_are_derived(kind: str, addresses: list[str]) -> None:
    taken = checked(public(kind), "mainnet")

    found = list(derive(taken, 0, len(addresses), "mainnet"))

    assert [each.address for each in found] == addresses
    assert [each.number for each in found] == list(range(len(addresses)))


@pytest.mark.parametrize("text", [public(), bare(public()), f"  {public()}\n"])
def test_a_descriptor_is_kept_with_its_checksum_however_it_was_pasted(text: str) -> None:
    assert checked(text, "mainnet") == public()


def test_of_two_paths_the_receiving_one_is_taken() -> None:
    assert checked(bare(public()).replace("/0/*", "/<0;1>/*"), "mainnet") == public()


def test_every_kind_of_script_that_has_an_address_can_be_paid() -> None:
    key = key_of(public())
    forms = ["wpkh({})", "sh(wpkh({}))", "tr({})", "pkh({})", "wsh(pk({}))"]
    forms.append("wsh(sortedmulti(2,{},{}))".replace("{},{}", f"{key},{key.replace('/0/*', '/7/*')}"))

    lengths = [
        len(next(derive(checked(form.format(key), "mainnet"), 5, 1, "mainnet")).script) for form in forms
    ]

    assert lengths == [22, 23, 34, 25, 34, 34]


def test_derivation_ends_at_the_last_index_there_is() -> None:
    assert [each.number for each in derive(public(), LAST_INDEX, 5, "mainnet")] == [LAST_INDEX]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "one word"),
        ("wpkh(a b)", "one word"),
        ("x" * 20_000, "one word"),
        ("xpub6BosfCnifzxcFwrSzQiqu2DBVTshkCXacvNsWGYJVVhhawA7d4R5WSWGFNbi8Aw6ZRc1brxMyWMzG3DSSSSoekkudhUd9yLb6", "no descriptor"),  # noqa: E501
        (public(network=NetworkKind.TEST), "no descriptor of mainnet"),
        (public()[:-1] + ("q" if public()[-1] != "q" else "p"), "checksum is wrong"),
        (bare(public()).replace("/*", "/7"), "one address only"),
        (bare(public()).replace("/*", "/*h"), "hardened"),
        (bare(public()).replace("/0/*", "/0'/*"), "hardened"),
        (f"pk({key_of(public())})", "bare scripts"),
        ("wsh(older(5))", "one address only"),
    ],
)  # fmt: skip
def test_what_is_no_descriptor_for_coinbases_is_refused_with_the_mend(text: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        checked(text, "mainnet")


def test_a_private_key_is_refused_and_never_repeated() -> None:
    text = secret().to_string_with_secret()

    with pytest.raises(ConfigError, match="PRIVATE key") as caught:
        checked(text, "mainnet")

    assert "prv" not in str(caught.value)
    assert "".join(map(str, caught.value.args)).find(text[10:30]) == -1


@pytest.mark.parametrize(("source", "to"), [("hot", "treasury"), ("treasury", "hot")])
def test_a_transfer_moves_coins_between_wallet_and_treasury_at_the_pool_s_cost(source: str, to: str) -> None:
    entry = transfer("txid", source, Msat(5000), Sat(2))  # type: ignore[arg-type]

    assert {posting.account: posting.amount for posting in entry.postings} == {
        f"assets:{source}": -7000,
        f"assets:{to}": 5000,
        ledger.CHAIN_FEES: 2000,
    }
    with pytest.raises(LedgerError):
        transfer("txid", "hot", Msat(0))
