"""The LNURL routes that a wallet talks to: what it may take, its invoice (LUD-03), and logging in (LUD-04).

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

from payouts import lnurl, login, notices
from payouts.claims import ClaimTerms
from payouts.errors import InvoiceMalformed
from payouts.invoice import MAX_LENGTH, decode
from payouts.login import LoginDesk
from payouts.money import Sat
from payouts.ports import ClaimDesk
from payouts.terms import Bad, check
from payouts.values import Answer, PaymentState, WithdrawTerms

_K1_LENGTH: Final = 64
_WALLET_LENGTH: Final = 66
_SIGNATURE_LENGTH: Final = 144
_NO_LINK: Final = "this withdraw link is not valid"
_EXPIRED: Final = "this withdraw link has expired: get a new one from your account page"
_REVOKED: Final = "this card was revoked: get a new one from your account page"
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
    """A genuine token that is good now, and its account's present terms."""

    token: str
    says: lnurl.TokenFor
    terms: WithdrawTerms


class LnurlRoutes:
    """``GET /lnurl/w/<token>`` with its ``/cb``, and ``GET /lnurl/login``, as a Klein app.

    Args:
        desk: terms and claims.
        now_ms: Unix milliseconds.
        options: see WithdrawOptions.
        logins: where wallets' log-ins go.
        admit: whether a log-in may be looked at now, or there are too many.
    """

    app = Klein()
    log = Logger()

    def __init__(
        self,
        desk: ClaimDesk,
        now_ms: Callable[[], int],
        options: WithdrawOptions,
        logins: LoginDesk,
        admit: Callable[[IRequest], bool],
    ) -> None:
        self._desk = desk
        self._now_ms = now_ms
        self._options = options
        self._logins = logins
        self._admit = admit

    def resource(self) -> IResource:
        """The routes as a Twisted resource; they begin with ``/lnurl/``, so mount it at the root."""
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
        terms, url, is_card = link.terms, self.url(token), link.says.card > 0
        if terms.maximum < max(terms.minimum, 1):
            return lnurl.error_document(terms.nothing or _too_little(terms.minimum))
        return lnurl.withdraw_document(
            lnurl.Offered(
                callback=f"{url}/cb",
                secret=lnurl.k1(self._options.terms.server_key, token, terms.claims_taken),
                description=self._options.description,
                minimum=terms.minimum,
                maximum=terms.maximum,
                again=url if is_card else None,
                balance=terms.balance if is_card else None,
            )
        )

    @app.route("/lnurl/w/<string:token>/cb", methods=["GET"])
    async def callback(self, request: IRequest, token: str) -> bytes:
        """Take a wallet's invoice.  The same (k1, pr) again answers the same; another pr does not."""
        _set_headers(request)
        secret, text = _argument(request, b"k1", _K1_LENGTH), _argument(request, b"pr", MAX_LENGTH + 10)
        if secret is None or text is None:
            return lnurl.error_document("k1 and pr must each be given once")
        notify = _argument(request, b"balanceNotify", notices.MOST_URL)
        refusal = await self._claim(token, secret, _bare(text), notify)
        return lnurl.success_document() if refusal is None else lnurl.error_document(refusal)

    @app.route("/lnurl/login", methods=["GET"])
    def login(self, request: IRequest) -> bytes:
        """Take a wallet's signature (LUD-04); the browser that showed the challenge comes for it."""
        _set_headers(request)
        k1, wallet, signature = (
            _argument(request, name, longest)
            for name, longest in ((b"k1", _K1_LENGTH), (b"key", _WALLET_LENGTH), (b"sig", _SIGNATURE_LENGTH))
        )
        if k1 is None or wallet is None or signature is None:
            return lnurl.error_document("k1, sig and key must each be given once")
        refusal = self._login(request, k1.lower(), wallet.lower(), signature.lower())
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

    def _login(self, request: IRequest, k1: str, wallet: str, signature: str) -> str | None:
        """Why a wallet may not log in, or None when its signature was kept."""
        challenge = login.read_k1(self._options.terms.server_key, k1)
        if challenge is None or self._now_ms() // 1000 >= challenge.expires_s:
            return "this code is out of date: load the page again"
        if not self._admit(request):  # a curve's arithmetic and a row, for whoever has seen the page
            return "too many wallets log in at once: try again in a minute"
        if not login.is_signed(k1, wallet, signature):
            return "the signature is not of this key and this code"
        if not self._logins.signed(lnurl.k1_hash(k1), wallet, signature):
            return "this code was used: load the page again"
        return None

    async def _claim(self, token: str, secret: str, invoice: str, notify: str | None) -> str | None:
        """Why the wallet is refused, or None when its claim was taken.

        A URL for news that will not do is no reason to pay nobody: LUD-15 is a wish, and goes unheard.
        """
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
        says = link.says
        answer = await self._desk.file(
            account=says.account,
            token_expires_s=says.expires_s,
            k1_hash=k1_hash,
            invoice=invoice,
            card=says.card,
            notify=notices.accepted(notify) if self._options.terms.notify and says.card else None,
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
        if not found.card and self._now_ms() // 1000 >= found.expires_s:
            return _EXPIRED
        terms = self._desk.terms(found.account)
        if terms is None:
            return _NO_LINK
        if found.card not in {0, terms.card}:
            return _REVOKED
        return terms.closed or _Link(token, found, terms)


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
