"""Who may mine: usernames, addresses of the pool's network, names and secrets of pool accounts."""

from __future__ import annotations

import hashlib
import re
from base64 import urlsafe_b64encode
from collections.abc import Callable
from functools import lru_cache
from typing import Final

import attrs
from bdkpython import Address, Network

from pool import config
from stratum.ports import Authorized, Refused

_NETWORKS: Final = {
    "mainnet": Network.BITCOIN,
    "testnet4": Network.TESTNET4,
    "signet": Network.SIGNET,
    "regtest": Network.REGTEST,
}
NAME: Final = re.compile(r"[a-z][a-z0-9-]{2,30}[a-z0-9]")
"""Names of pool accounts: short enough for Avalon (63 characters with the worker), and no address is one."""
_ALPHABET: Final = "23456789abcdefghjkmnpqrstuvwxyz"  # nothing that is misread on a miner's little screen
_WORKER: Final = re.compile(r"[\x21-\x7e]{0,64}")


# a third of a millisecond each, and after a restart all miners of all accounts come back at once
@lru_cache(maxsize=16_384)
def payable_address(text: str, network: config.Network) -> str | None:
    """The address in the form under which it is an account, or None when we would not pay to it.

    Taken are P2PKH, P2SH, P2WPKH, P2WSH and 32-byte P2TR of the pool's network.  Other witness programs are
    refused: anyone may be able to spend them (BIP 141, BIP 350).  Bech32 is folded to lower case.
    """
    try:
        address = Address(text, _NETWORKS[network])
    except Exception:  # noqa: BLE001 -- the binding raises a class per fault; all of them mean "not an address"
        return None
    script = bytes(address.script_pubkey().to_bytes())
    if len(script) >= 4 and (script[0] == 0 or 0x51 <= script[0] <= 0x60) and len(script) == script[1] + 2:
        known = (script[0] == 0 and script[1] in {20, 32}) or (script[0] == 0x51 and script[1] == 32)
        return text.lower() if known else None
    return text


def output_script(address: str, network: config.Network) -> bytes | None:
    """The script that pays to an address of this network, or None when we would not pay to it."""
    if payable_address(address, network) is None:
        return None
    return bytes(Address(address, _NETWORKS[network]).script_pubkey().to_bytes())


def hash_secret(secret: str) -> str:
    """What the databases keep of a claim secret: its SHA-256 in hex."""
    return hashlib.sha256(secret.encode()).hexdigest()


def new_name(entropy: bytes) -> str:
    """A username from at least 8 random bytes: ``m-`` and eight unmistakable characters."""
    return "m-" + "".join(_ALPHABET[byte % len(_ALPHABET)] for byte in entropy[:8])


def new_secret(entropy: bytes) -> str:
    """A claim secret from 32 random bytes, safe in a URL."""
    return urlsafe_b64encode(entropy).decode().rstrip("=")


@attrs.frozen
class Doorkeeper:
    """An Authorizer: addresses are judged here and now, pool accounts by asking the books.

    Attributes:
        network: whose addresses are accounts.
        exists: whether there is a pool account of this name.
    """

    network: config.Network
    exists: Callable[[str], bool]

    def authorize(self, username: str) -> Authorized | Refused:
        """Judge ``account`` or ``account.worker``."""
        name, _, worker = username.strip().partition(".")
        if not _WORKER.fullmatch(worker):
            return Refused("a worker's name has at most 64 printable characters without spaces")
        address = payable_address(name, self.network)
        if address is not None:
            return Authorized(address, worker)
        account = name.lower()
        if NAME.fullmatch(account) and self.exists(account):
            return Authorized(account, worker)
        return Refused(
            f"username is neither a {self.network} address nor an account of this pool: "
            "use your Bitcoin address, or make an account on the pool's /start page"
        )
