"""LNURL-withdraw (LUD-01, 03, 08, 14, 17) without HTTP: tokens, k1 and the documents, amounts in msat there.

A withdraw link carries a token: which account, and until when (or, of a lasting card, the card's number).  It
is authenticated with the server key, and nothing of it is stored but that number.  The k1 that a wallet must
present depends on the token and on how many claims were ever taken, so each claim uses it up.  LUD-03 makes
k1 a bearer secret: it is stored and compared as its hash only.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from hashlib import sha256
from typing import Any, Final
from urllib.parse import urlencode

import attrs
from lnurl import LnurlErrorResponse, LnurlSuccessResponse, LnurlWithdrawResponse, encode
from lnurl.types import CallbackUrl
from pydantic import TypeAdapter

from payouts.money import Msat, Sat, to_msat

_UNTIL: Final = b"\x01"  # a token with an end
_CARD: Final = b"\x02"  # a token with a card's number
_NUMBER_BYTES: Final = 5  # Unix seconds, good until the year 36812; or a card's number
_MAC_BYTES: Final = 16
_MAX_TOKEN: Final = 200  # characters


@attrs.frozen
class TokenFor:
    """What a genuine token says.

    Attributes:
        account: whose balance.
        expires_s: Unix second from which it is void; 0 for a card.
        card: number of the lasting card, which is good until it is revoked; 0 for a link with an end.
    """

    account: str
    expires_s: int
    card: int = 0


def _mac(key: bytes, purpose: bytes, message: bytes) -> bytes:
    # the purpose keeps a token's MAC and a k1 of the same bytes apart
    return hmac.digest(key, purpose + b"\x00" + message, "sha256")


def make_token(key: bytes, account: str, expires_s: int, card: int = 0) -> str:
    """A withdraw token: base64url of its kind, end or number, account and 16 bytes of HMAC-SHA256.

    Args:
        key: the server key.
        account: whose balance.
        expires_s: Unix second from which it is void; of no account for a card.
        card: the card's number, or 0.
    """
    number = card or expires_s
    body = (_CARD if card else _UNTIL) + number.to_bytes(_NUMBER_BYTES, "big") + account.encode()
    return base64.urlsafe_b64encode(body + _mac(key, b"withdraw", body)[:_MAC_BYTES]).rstrip(b"=").decode()


def read_token(key: bytes, token: str) -> TokenFor | None:
    """What a token says; None unless it was made with this key, to the last bit.

    Expiry, and whether a card was revoked, are the caller's business.
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
    number, account = int.from_bytes(body[1 : 1 + _NUMBER_BYTES], "big"), body[1 + _NUMBER_BYTES :].decode()
    found = TokenFor(account, 0, number) if body[:1] == _CARD else TokenFor(account, number)
    # base64 has several spellings of the same bytes: only the one that was made is taken
    made = make_token(key, account, found.expires_s, found.card)
    return found if hmac.compare_digest(made, token) else None


def k1(key: bytes, token: str, claims_taken: int) -> str:
    """The k1 (64 hex digits) that the next claim with this token must present."""
    return _mac(key, b"k1", token.encode() + b"\x00" + str(claims_taken).encode()).hex()


def k1_hash(secret: str) -> str:
    """What is stored of a k1: the hex SHA-256 of its text."""
    return sha256(secret.encode()).hexdigest()


@attrs.frozen
class Offered:
    """What a wallet is offered.

    Attributes:
        callback: URL that takes the invoice.
        secret: the k1.
        description: what the wallet shows.
        minimum: least amount.
        maximum: greatest amount.
        again: of a lasting card, the URL at which a wallet may look again (LUD-14).
        balance: of a lasting card, the whole balance, which may exceed the maximum.
    """

    callback: str
    secret: str = attrs.field(repr=False)
    description: str
    minimum: Sat
    maximum: Sat
    again: str | None = attrs.field(default=None, repr=False)
    balance: Msat | None = None


def _model(offered: Offered) -> LnurlWithdrawResponse:
    fields: dict[str, Any] = {
        "callback": offered.callback,
        "k1": offered.secret,
        "defaultDescription": offered.description,
        "minWithdrawable": to_msat(offered.minimum),
        "maxWithdrawable": to_msat(offered.maximum),
        "balanceCheck": offered.again,
        "currentBalance": offered.balance,
    }
    return LnurlWithdrawResponse.model_validate(fields)


def withdraw_document(offered: Offered) -> bytes:
    """LUD-03's withdrawRequest as JSON, with LUD-14's fields for a card.

    Raises:
        ValueError: the maximum is below the minimum, or wallets would refuse a URL.
    """
    return _model(offered).model_dump_json(exclude_none=True).encode()


def fast_url(url: str, offered: Offered) -> str:
    """A withdraw link that holds its whole offer (LUD-08), for a wallet on the device that shows it.

    A wallet that knows LUD-08 saves a question; every other one asks the URL as it is.  Not for a QR code.

    Raises:
        ValueError: as withdraw_document.
    """
    fields = _model(offered).model_dump(mode="json", exclude_none=True)
    return f"{url}?{urlencode(fields)}"


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


def lud17_link(url: str, scheme: str) -> str:
    """The same link by LUD-17: ``lnurlw`` or ``keyauth`` instead of https (http for .onion)."""
    return f"{scheme}://{url.partition('://')[2]}"
