"""The LNURL-withdraw routes (LUD-03) that a wallet talks to: who it is, what it may take, and its invoice.

Nothing here moves money: a callback files a claim, the payer decides, and the wallet hears its answer.
Access logs must not hold these requests' query strings: they carry k1.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import Final

import attrs
from klein import Klein
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.iweb import IRequest
from twisted.web.resource import IResource
from werkzeug.exceptions import HTTPException

from payouts import lnurl
from payouts.claims import ClaimTerms
from payouts.errors import InvoiceMalformed
from payouts.invoice import MAX_LENGTH, decode
from payouts.money import Sat
from payouts.ports import Answer, ClaimDesk, PaymentState, WithdrawTerms
from payouts.terms import Bad, check

_K1_LENGTH: Final = 64
_NO_LINK: Final = "this withdraw link is not valid"
_EXPIRED: Final = "this withdraw link has expired: get a new one from your account page"
_USED: Final = "this withdraw link was used: scan it again for a new withdrawal"


@attrs.frozen
class WithdrawOptions:
    """How the routes present themselves.

    Attributes:
        public_url: where wallets reach the site; https, or http for .onion.
        description: what a wallet shows for the withdrawal.
        terms: the payer's terms, so that most refusals are told at once; holds the server key.
    """

    public_url: str
    description: str
    terms: ClaimTerms


@attrs.frozen
class _Link:
    """A genuine, unexpired token and its account's present terms."""

    token: str
    account: str
    expires_s: int
    terms: WithdrawTerms


class LnurlRoutes:
    """``GET /lnurl/w/<token>`` and its ``/cb``, as a Klein app.

    Args:
        desk: terms and claims.
        now_ms: Unix milliseconds.
        options: see WithdrawOptions.
    """

    app = Klein()
    log = Logger()

    def __init__(self, desk: ClaimDesk, now_ms: Callable[[], int], options: WithdrawOptions) -> None:
        self._desk = desk
        self._now_ms = now_ms
        self._options = options

    def resource(self) -> IResource:
        """The routes as a Twisted resource; they begin with ``/lnurl/w/``, so mount it at the root."""
        return self.app.resource()

    def url(self, token: str) -> str:
        """The withdraw link of a token: what ``payouts.lnurl.qr_text`` puts into the QR code."""
        return f"{self._options.public_url.rstrip('/')}/lnurl/w/{token}"

    @app.route("/lnurl/w/<string:token>", methods=["GET"])
    def offer(self, request: IRequest, token: str) -> bytes:
        """Tell a wallet what it may withdraw.  Writes nothing: link previews crawl."""
        _set_headers(request)
        link = self._link(token)
        if isinstance(link, str):
            return lnurl.error_document(link)
        terms = link.terms
        if terms.maximum < max(terms.minimum, 1):
            return lnurl.error_document(_too_little(terms.minimum))
        return lnurl.withdraw_document(
            callback=f"{self.url(token)}/cb",
            secret=lnurl.k1(self._options.terms.server_key, token, terms.claims_taken),
            description=self._options.description,
            minimum=terms.minimum,
            maximum=terms.maximum,
        )

    @app.route("/lnurl/w/<string:token>/cb", methods=["GET"])
    async def callback(self, request: IRequest, token: str) -> bytes:
        """Take a wallet's invoice.  The same (k1, pr) again answers the same; another pr does not."""
        _set_headers(request)
        secret, text = _argument(request, b"k1", _K1_LENGTH), _argument(request, b"pr", MAX_LENGTH + 10)
        if secret is None or text is None:
            return lnurl.error_document("k1 and pr must each be given once")
        refusal = await self._claim(token, secret, _bare(text))
        return lnurl.success_document() if refusal is None else lnurl.error_document(refusal)

    @app.handle_errors(Exception)
    def broken(self, request: IRequest, failure: Failure) -> bytes:
        """A fault of ours, in the wallet's own protocol; a path that is no route stays a plain 404."""
        if isinstance(failure.value, HTTPException):
            request.setResponseCode(failure.value.code or 404)  # type: ignore[no-untyped-call]
            return b""
        self.log.failure("A wallet's request could not be answered", failure)
        _set_headers(request)
        return lnurl.error_document("the pool cannot answer now: try again in a minute")

    async def _claim(self, token: str, secret: str, invoice: str) -> str | None:
        """Why the wallet is refused, or None when its claim was taken."""
        k1_hash = lnurl.k1_hash(secret)
        earlier = self._desk.answered(k1_hash)
        if earlier is not None:
            return _refusal(earlier, invoice)
        link = self._link(token)
        if isinstance(link, str):
            return link
        expected = lnurl.k1(self._options.terms.server_key, token, link.terms.claims_taken)
        if not hmac.compare_digest(expected.encode(), secret.encode()):
            return _USED
        bad = self._objection(invoice, link.terms)
        if bad is not None:
            return bad
        answer = await self._desk.file(
            account=link.account, token_expires_s=link.expires_s, k1_hash=k1_hash, invoice=invoice
        )
        if answer is None:
            self.log.warn("A claim got no answer in time: is the payer running?")
            return "the payer did not answer in time: nothing was paid, try again"
        return _refusal(answer, invoice)

    def _objection(self, invoice: str, offered: WithdrawTerms) -> str | None:
        """What the payer would refuse anyway; it checks everything again."""
        terms = attrs.evolve(
            self._options.terms.at(self._now_ms()),
            minimum=Sat(max(offered.minimum, 1)),
            maximum=offered.maximum,
        )
        try:
            checked = check(decode(invoice), terms)
        except InvoiceMalformed as malformed:
            return str(malformed)
        return checked.reason if isinstance(checked, Bad) else None

    def _link(self, token: str) -> _Link | str:
        """What the token stands for, or why it stands for nothing."""
        found = lnurl.read_token(self._options.terms.server_key, token)
        if found is None:
            return _NO_LINK
        if self._now_ms() // 1000 >= found.expires_s:
            return _EXPIRED
        terms = self._desk.terms(found.account)
        return _NO_LINK if terms is None else _Link(token, found.account, found.expires_s, terms)


def _refusal(answer: Answer, invoice: str) -> str | None:
    if answer.invoice != invoice:
        return _USED
    if not answer.taken:
        return answer.reason or "the claim was refused"
    if answer.state is PaymentState.FAILED:  # definite: the money is back, and this k1 is spent
        return f"the payment failed: {answer.reason or 'no route'}; scan the link again"
    return None


def _too_little(minimum: Sat) -> str:
    return f"there is less to withdraw than the minimum of {minimum} sat"


def _bare(text: str) -> str:
    """An invoice without a ``lightning:`` in front and in lower case, unless its case is mixed."""
    invoice = text[10:] if text[:10].lower() == "lightning:" else text
    return invoice.lower() if invoice.isupper() else invoice


def _argument(request: IRequest, name: bytes, longest: int) -> str | None:
    """A query argument given exactly once, in printable ASCII, and not too long."""
    values = (request.args or {}).get(name, [])
    if len(values) != 1 or not 0 < len(values[0]) <= longest or not values[0].isascii():
        return None
    text: str = values[0].decode("ascii")
    return text if text.isprintable() else None


def _set_headers(request: IRequest) -> None:
    for name, value in (
        (b"content-type", b"application/json"),
        (b"cache-control", b"no-store"),
        (b"referrer-policy", b"no-referrer"),
        (b"access-control-allow-origin", b"*"),
    ):
        request.responseHeaders.setRawHeaders(name, [value])
