"""Logging in with a wallet (LUD-04) without HTTP: challenges, what a wallet's signature proves, and sessions.

A challenge (k1) says what it is for and until when, and carries an HMAC of the server key, so that nothing is
stored before a wallet has signed it.  Its nonce is made of a ticket that only the browser has which shows the
code: whoever else sees the code cannot take over what it opens.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from enum import IntEnum
from typing import Final, Protocol

import attrs
from lnurl import lnurlauth_verify

_K1: Final = re.compile(r"[0-9a-f]{64}")
_WALLET: Final = re.compile(r"0[23][0-9a-f]{64}")
_SIGNATURE: Final = re.compile(r"[0-9a-f]{16,144}")
_EXPIRY_BYTES: Final = 5
_NONCE_BYTES: Final = 10
_MAC_BYTES: Final = 16
_WALLET_BYTES: Final = 33


class Purpose(IntEnum):
    """What a signed challenge is good for; LUD-04's ``action`` has the same names in lower case."""

    LOGIN = 1
    LINK = 2


@attrs.frozen
class Challenge:
    """What a genuine k1 says: its use, and the Unix second from which it is void."""

    purpose: Purpose
    expires_s: int


@attrs.frozen
class Signed:
    """A challenge that a wallet has signed: the wallet's key (66 hex digits) and its signature (DER, hex)."""

    wallet: str
    signature: str


class LoginDesk(Protocol):
    """Where signed challenges are kept until the browser that showed them comes for them."""

    def signed(self, k1_hash: str, wallet: str, signature: str) -> bool:
        """Keep a signed challenge; False when this challenge was signed before."""
        ...


def _mac(key: bytes, purpose: bytes, message: bytes) -> bytes:
    return hmac.digest(key, purpose + b"\x00" + message, "sha256")


def make_k1(key: bytes, challenge: Challenge, ticket: str, account: str = "") -> str:
    """The k1 (64 hex digits) that a browser with this ticket shows; deterministic.

    Args:
        key: the server key.
        challenge: its use and its end.
        ticket: a secret of the browser's.
        account: to which a wallet is to be linked; empty for a log-in.
    """
    nonce = _mac(key, b"ticket", ticket.encode() + b"\x00" + account.encode())[:_NONCE_BYTES]
    body = bytes([challenge.purpose]) + challenge.expires_s.to_bytes(_EXPIRY_BYTES, "big") + nonce
    return (body + _mac(key, b"challenge", body)[:_MAC_BYTES]).hex()


def read_k1(key: bytes, k1: str) -> Challenge | None:
    """What a k1 says; None unless it was made with this key.  Expiry is the caller's business."""
    if not _K1.fullmatch(k1):
        return None
    raw = bytes.fromhex(k1)
    body, given = raw[:-_MAC_BYTES], raw[-_MAC_BYTES:]
    if not hmac.compare_digest(_mac(key, b"challenge", body)[:_MAC_BYTES], given):
        return None
    return Challenge(Purpose(body[0]), int.from_bytes(body[1 : 1 + _EXPIRY_BYTES], "big"))


def is_signed(k1: str, wallet: str, signature: str) -> bool:
    """Whether the wallet with this key signed this challenge: ECDSA over its 32 bytes."""
    if not (_K1.fullmatch(k1) and _WALLET.fullmatch(wallet) and _SIGNATURE.fullmatch(signature)):
        return False
    try:
        return bool(lnurlauth_verify(k1, wallet, signature))
    except ValueError:  # a key that is no point, or no DER
        return False


def login_path(k1: str, purpose: Purpose) -> str:
    """Path and query of the link that a wallet signs."""
    return f"/lnurl/login?tag=login&k1={k1}&action={purpose.name.lower()}"


def make_session(key: bytes, wallet: str, expires_s: int) -> str:
    """What the browser keeps after a log-in: which wallet, until when, and an HMAC; safe in a cookie."""
    body = expires_s.to_bytes(_EXPIRY_BYTES, "big") + bytes.fromhex(wallet)
    return base64.urlsafe_b64encode(body + _mac(key, b"session", body)).rstrip(b"=").decode()


def read_session(key: bytes, session: str, now_s: int) -> str | None:
    """The wallet whose session this is; None when it is not genuine or is over."""
    try:
        raw = base64.b64decode(session + "=" * (-len(session) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    body, given = raw[: _EXPIRY_BYTES + _WALLET_BYTES], raw[_EXPIRY_BYTES + _WALLET_BYTES :]
    if not hmac.compare_digest(_mac(key, b"session", body), given):
        return None
    expires_s = int.from_bytes(body[:_EXPIRY_BYTES], "big")
    return body[_EXPIRY_BYTES:].hex() if now_s < expires_s else None
