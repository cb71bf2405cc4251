"""LNURL-withdraw (LUD-01, LUD-03) without HTTP: tokens, k1 and the documents, amounts in msat there.

A withdraw link carries a token: which account, until when, authenticated with the server key.  Nothing about
it is stored.  The k1 that a wallet must present depends on the token and on how many claims were ever taken,
so each claim uses it up.  LUD-03 makes k1 a bearer secret: it is stored and compared as its hash only.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from hashlib import sha256
from typing import Final

import attrs
from lnurl import LnurlErrorResponse, LnurlSuccessResponse, LnurlWithdrawResponse, encode
from lnurl.types import CallbackUrl
from pydantic import TypeAdapter

from payouts.money import Sat, to_msat

_VERSION: Final = b"\x01"
_EXPIRY_BYTES: Final = 5  # Unix seconds, good until the year 36812
_MAC_BYTES: Final = 16
_MAX_TOKEN: Final = 200  # characters


@attrs.frozen
class TokenFor:
    """What a genuine token says: whose balance, and the Unix second from which it is void."""

    account: str
    expires_s: int


def _mac(key: bytes, purpose: bytes, message: bytes) -> bytes:
    # the purpose keeps a token's MAC and a k1 of the same bytes apart
    return hmac.digest(key, purpose + b"\x00" + message, "sha256")


def make_token(key: bytes, account: str, expires_s: int) -> str:
    """A withdraw token: base64url of version, expiry, account and 16 bytes of HMAC-SHA256; deterministic."""
    body = _VERSION + expires_s.to_bytes(_EXPIRY_BYTES, "big") + account.encode()
    return base64.urlsafe_b64encode(body + _mac(key, b"withdraw", body)[:_MAC_BYTES]).rstrip(b"=").decode()


def read_token(key: bytes, token: str) -> TokenFor | None:
    """What a token says; None unless it was made with this key, to the last bit.

    Expiry is the caller's business.
    """
    if not token.isascii() or len(token) > _MAX_TOKEN:
        return None
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    body, given = raw[:-_MAC_BYTES], raw[-_MAC_BYTES:]
    if not hmac.compare_digest(_mac(key, b"withdraw", body)[:_MAC_BYTES], given):
        return None
    account = body[1 + _EXPIRY_BYTES :].decode()
    found = TokenFor(account, int.from_bytes(body[1 : 1 + _EXPIRY_BYTES], "big"))
    # base64 has several spellings of the same bytes: only the one that was made is taken
    return found if hmac.compare_digest(make_token(key, account, found.expires_s), token) else None


def k1(key: bytes, token: str, claims_taken: int) -> str:
    """The k1 (64 hex digits) that the next claim with this token must present."""
    return _mac(key, b"k1", token.encode() + b"\x00" + str(claims_taken).encode()).hex()


def k1_hash(secret: str) -> str:
    """What is stored of a k1: the hex SHA-256 of its text."""
    return sha256(secret.encode()).hexdigest()


def withdraw_document(*, callback: str, secret: str, description: str, minimum: Sat, maximum: Sat) -> bytes:
    """LUD-03's withdrawRequest as JSON.

    Raises:
        ValueError: the maximum is below the minimum, or wallets would refuse the callback's URL.
    """
    document = LnurlWithdrawResponse.model_validate(
        {
            "callback": callback,
            "k1": secret,
            "defaultDescription": description,
            "minWithdrawable": to_msat(minimum),
            "maxWithdrawable": to_msat(maximum),
        }
    )
    return document.model_dump_json(exclude_none=True).encode()


def error_document(reason: str) -> bytes:
    """LUD-01's error as JSON."""
    return LnurlErrorResponse(reason=reason).model_dump_json(exclude_none=True).encode()


def success_document() -> bytes:
    """LUD-01's OK as JSON."""
    return LnurlSuccessResponse().model_dump_json(exclude_none=True).encode()


def bech32_link(url: str) -> str:
    """A URL as upper-case LNURL (LUD-01).

    Raises:
        ValueError: wallets would refuse the URL.
    """
    TypeAdapter(CallbackUrl).validate_python(url)
    return str(encode(url).bech32).upper()


def qr_text(url: str) -> str:
    """What the QR code of a withdraw link holds: upper case throughout, which makes the code smaller."""
    return f"LIGHTNING:{bech32_link(url)}"
