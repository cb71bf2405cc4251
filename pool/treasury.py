"""The treasury: addresses of a public descriptor whose keys were made, and stay, on an offline machine.

Nothing here can spend.  A descriptor (BIP 380) is text with extended public keys in it; each block pays to an
address of the next index, so that the offline wallet finds the coins by counting (its gap limit).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

import attrs
from bdkpython import Descriptor, DescriptorType, Network, NetworkKind

from payouts.money import Msat, Sat, floor_sat, to_msat
from pool import config, ledger
from pool.errors import ConfigError, LedgerError

_NETWORKS: Final = {
    "mainnet": (Network.BITCOIN, NetworkKind.MAIN),
    "testnet4": (Network.TESTNET4, NetworkKind.TEST),
    "signet": (Network.SIGNET, NetworkKind.TEST),
    "regtest": (Network.REGTEST, NetworkKind.TEST),
}
_ORIGIN: Final = re.compile(r"\[[^\]]*\]")
_HARDENED: Final = re.compile(r"/(?:\d+|\*)['hH]")
MOST_CHARACTERS: Final = 10_000
LAST_INDEX: Final = 2**31 - 1
"""Of an unhardened child (BIP 32)."""


@attrs.frozen
class Derived:
    """An address of a descriptor.

    Attributes:
        number: its index.
        address: as people write it.
        script: what a coinbase pays to.
    """

    number: int
    address: str
    script: bytes


def checked(text: str, network: config.Network) -> str:
    """The receiving descriptor of a text, in its normal form with its checksum, fit for coinbases.

    Of a descriptor with two paths (``/<0;1>/*``, BIP 389) it is the first.  A checksum that is there must be
    right; without one it is added.

    Args:
        text: as the offline machine's wallet exports it.
        network: of the pool.

    Raises:
        ConfigError: it is no such descriptor; the text never repeats it, since it may hold a private key.
    """
    plain = text.strip()
    if not plain or len(plain) > MOST_CHARACTERS or len(plain.split()) != 1:
        raise ConfigError("the descriptor is not one word of text, such as wpkh([…]xpub…/0/*)#…")
    found = _parsed(plain, network)
    if found.to_string_with_secret() != str(found):
        raise ConfigError(
            "the descriptor holds a PRIVATE key, which has now been on this machine: take it for known, make"
            " another on the offline machine, and bring only its public descriptor here"
        )
    if _HARDENED.search(_ORIGIN.sub("", plain)):
        # the library would not answer but end the process when it came to deriving
        raise ConfigError(
            "the descriptor has hardened steps (h or ') behind its public key, which only the private key can"
            " take: export the account's extended public key"
        )
    if found.is_multipath():
        found = found.to_single_descriptors()[0]
    if not found.has_wildcard():
        raise ConfigError(
            "the descriptor stands for one address only: each block needs its own, end it in /*"
        )
    if found.desc_type() is DescriptorType.BARE:
        raise ConfigError("the descriptor makes bare scripts, which have no address")
    try:
        found.sanity_check()
        _derive(found, 0, network)
    except Exception:  # noqa: BLE001 -- the binding raises a class per fault
        raise ConfigError("the descriptor makes no addresses that can be spent from") from None
    return str(found)


def _parsed(plain: str, network: config.Network) -> Descriptor:
    try:
        return Descriptor(plain, _NETWORKS[network][1])
    except Exception as error:  # noqa: BLE001 -- the binding raises a class per fault
        fault = type(error).__name__
        if "Checksum" in fault:
            raise ConfigError("the descriptor's checksum is wrong: copy it again, whole") from None
        raise ConfigError(
            f"this is no descriptor of {network}: one is like wpkh([…]xpub…/0/*), with tpub… on test networks"
        ) from None


def derive(descriptor: str, first: int, count: int, network: config.Network) -> Iterator[Derived]:
    """Addresses of consecutive indexes.

    Args:
        descriptor: as ``checked`` answers it.
        first: the first index.
        count: how many.
        network: of the pool.
    """
    found = Descriptor(descriptor, _NETWORKS[network][1])
    for number in range(first, min(first + count, LAST_INDEX + 1)):
        yield _derive(found, number, network)


def _derive(descriptor: Descriptor, number: int, network: config.Network) -> Derived:
    address = descriptor.derive_address(number, _NETWORKS[network][0])
    return Derived(number, str(address), bytes(address.script_pubkey().to_bytes()))


def transfer(
    reference: str, source: Literal["hot", "treasury"], amount: Msat, fee: Sat | None = None
) -> ledger.Entry:
    """The operator moved coins between the node's wallet and the treasury.

    Args:
        reference: what it was, unique: the txid.
        source: where the coins came from; they went to the other one.
        amount: what arrived there.
        fee: of the transaction, borne by the pool out of the source.

    Raises:
        LedgerError: the amount is not positive, or the fee is negative.
    """
    cost = to_msat(fee or Sat(0))
    if amount <= 0 or cost < 0:
        raise LedgerError("a transfer moves more than nothing, and its fee is not negative")
    away, to = (ledger.HOT, ledger.TREASURY) if source == "hot" else (ledger.TREASURY, ledger.HOT)
    memo = {"from": source, "amount_msat": str(amount), "fee_msat": str(cost)}
    moves = [(away, -(amount + cost)), (to, int(amount)), (ledger.CHAIN_FEES, int(cost))]
    return ledger.entry(f"transfer:{reference}", "transfer", memo, moves)


def transfer_again(reference: str, memo: Mapping[str, Any]) -> ledger.Entry:
    """The entry that a transfer's memo stands for; for the audit.

    Raises:
        KeyError, ValueError, LedgerError: the memo stands for none.
    """
    fee = floor_sat(Msat(int(memo["fee_msat"])))
    source: Literal["hot", "treasury"] = "hot" if memo["from"] == "hot" else "treasury"
    return transfer(reference, source, Msat(int(memo["amount_msat"])), fee)


def fee(sats: int) -> Sat:
    """A fee as it was typed in."""
    return Sat(sats)
