"""An account's own pages, opened by its claim link or its wallet: what it is owed, and what can be changed.

A claim secret is looked up by its hash and never put into a log or an error.  What is asked for here is a
wish: the payer judges it again and writes the answer.
"""

from __future__ import annotations

from klein import Klein
from twisted.python.failure import Failure
from twisted.web.iweb import IRequest
from twisted.web.resource import IResource

from payouts.login import Purpose
from pool.accounts import hash_secret, new_secret
from pool.statements import Made, NotMade
from pool.web import reply
from pool.web.access import same_origin
from pool.web.documents import Documents, as_file, status_of
from pool.web.pages import AccountFigures, Settings, account_figures
from pool.web.private import Opened, Private, Surroundings
from pool.web.visits import Ticket
from pool.web.withdraw import NothingNow, Offer, card_code, login_code, nothing_now, offer
from pool.wishes import CallOff, LinkWallet, MakeCard, Redirect, RenewLink, RevokeCard, UnlinkWallet, Wish


class OwnerPages(Private):
    """The routes below ``/a``, ``/account`` and ``/login``."""

    app = Klein()

    def __init__(self, around: Surroundings) -> None:
        super().__init__(around)
        self._documents = Documents(around.queries.directory, around.in_thread, around.now_ms)

    def resource(self) -> IResource:
        """The pages as a Twisted resource, to be mounted at the root."""
        return self.app.resource()

    @app.route("/a/<secret>", methods=["GET"])
    @app.route("/account", methods=["GET"])
    async def account(self, request: IRequest, secret: str | None = None) -> bytes:
        """An account's own page."""
        opened = self._opened(request, secret)
        if opened is None:
            return self._closed(request, secret)
        now_ms, around = self._around.now_ms(), self._around
        figures = await around.in_thread(account_figures, around.queries, opened.account, now_ms)
        offered, waiting = self._offered(figures, now_ms), self._desk.waiting(opened.account)
        page = self._pages.account(figures, offered, waiting, opened.base, now_ms)
        return self._private(request, page, secret)

    @app.route("/a/<secret>/statement/<block_hash>", methods=["GET"])
    @app.route("/account/statement/<block_hash>", methods=["GET"])
    async def statement(self, request: IRequest, block_hash: str, secret: str | None = None) -> bytes:
        """What the account got of a block, and why, with proofs: a file for `sluice verify`."""
        opened = self._opened(request, secret)
        if opened is None:
            return self._closed(request, secret)
        made = await self._documents.statement(request, opened.account, block_hash)
        return self._proof(request, "No statement", made)

    @app.route("/a/<secret>/receipt", methods=["GET"])
    @app.route("/account/receipt", methods=["GET"])
    async def receipt(self, request: IRequest, secret: str | None = None) -> bytes:
        """That the account's newest share that a block can prove is in the log."""
        opened = self._opened(request, secret)
        if opened is None:
            return self._closed(request, secret)
        return self._proof(request, "No receipt", await self._documents.receipt(request, opened.account))

    @app.route("/a/<secret>/settings", methods=["GET"])
    @app.route("/account/settings", methods=["GET"])
    def settings(self, request: IRequest, secret: str | None = None) -> bytes:
        """What can be changed about an account."""
        opened = self._opened(request, secret)
        if opened is None:
            return self._closed(request, secret)
        account, desk = opened.account, self._desk
        card = desk.card(account)
        shown = Settings(
            account,
            opened.base,
            card=None if card is None else card_code(self._facts, self._around.key, account, card.number),
            is_told=desk.is_told(account),
            wallets=desk.wallets(account),
            valid={"lightning": desk.valid(account, "lightning"), "onchain": desk.valid(account, "onchain")},
            waiting=desk.waiting(account),
        )
        page = self._pages.settings(shown, self._around.now_ms())
        return self._private(request, page, secret)

    @app.route("/a/<secret>/settings", methods=["POST"])
    @app.route("/account/settings", methods=["POST"])
    async def change(self, request: IRequest, secret: str | None = None) -> bytes:
        """Ask for a change."""
        opened = self._opened(request, secret)
        if opened is None:
            return self._closed(request, secret)
        fields = reply.form(request)
        if fields.get("do") == "renew":
            return await self._renew(request, opened)
        wish = self._wish(opened, fields)
        if wish is None:
            return self._message(request, 400, "Not like this", "The form is not one of this page's.")
        refusal = await self._ask(request, opened.account, wish, back=f"{opened.base}/settings")
        return reply.see(request, f"{opened.base}/settings") if refusal is None else refusal

    @app.route("/a/<secret>/wallet", methods=["GET"])
    @app.route("/account/wallet", methods=["GET"])
    async def wallet(self, request: IRequest, secret: str | None = None) -> bytes:
        """Link a wallet (LUD-04): a code to scan, until a wallet has signed it."""
        opened = self._opened(request, secret)
        if opened is None:
            return self._closed(request, secret)
        ticket = self._ticket(request, Purpose.LINK, opened.account)
        signed = self._desk.login(ticket.k1_hash)
        if signed is None:
            return self._code(request, ticket, Purpose.LINK, opened)
        self._visits.end(request, "ticket")
        wish = LinkWallet(opened.opened_by, signed.wallet, ticket.k1, signed.signature)
        back = f"{opened.base}/settings"
        refusal = await self._ask(request, opened.account, wish, from_form=False, back=back)
        return reply.see(request, f"{opened.base}/settings") if refusal is None else refusal

    @app.route("/login", methods=["GET"])
    def login(self, request: IRequest) -> bytes:
        """Log in with a wallet (LUD-04): a code to scan, until a wallet has signed it."""
        ticket = self._ticket(request, Purpose.LOGIN, "")
        signed = self._desk.login(ticket.k1_hash)
        if signed is None:
            return self._code(request, ticket, Purpose.LOGIN, None)
        if self._desk.account_of_wallet(signed.wallet) is None:
            self._visits.end(request, "ticket")
            return self._message(
                request,
                404,
                "No account for this wallet",
                "Open your account with its claim link once, and link the wallet in its settings.",
            )
        self._visits.begin(request, signed.wallet, self._around.now_ms() // 1000)
        return reply.see(request, "/account")

    @app.route("/account/logout", methods=["POST"])
    def logout(self, request: IRequest) -> bytes:
        """Forget the wallet's session in this browser."""
        if same_origin(request, self._facts.public_url):
            self._visits.end(request, "session")
        return reply.see(request, "/")

    @app.handle_errors(Exception)
    def broken(self, request: IRequest, failure: Failure) -> bytes:
        """No page of ours, or something broke."""
        return self._odd(request, failure)

    def _proof(self, request: IRequest, title: str, made: Made | NotMade) -> bytes:
        if isinstance(made, NotMade):
            why = f"{made.why[:1].upper()}{made.why[1:]}."
            return self._message(request, status_of(made), title, why)
        return as_file(request, made)

    def _offered(self, figures: AccountFigures, now_ms: int) -> Offer | NothingNow:
        around = self._around
        terms = around.claims.terms(figures.account) if around.claims is not None else None
        refusal = nothing_now(self._facts, terms, figures.balances, figures.rewards, stopped=figures.stopped)
        if refusal is not None:
            return refusal
        assert terms is not None  # noqa: S101 -- nothing_now answers for missing terms
        return offer(self._facts, around.key, figures.account, terms, now_ms // 1000)

    async def _renew(self, request: IRequest, opened: Opened) -> bytes:
        secret = new_secret(self._around.entropy(32))
        wish = RenewLink(opened.opened_by, hash_secret(secret))
        refusal = await self._ask(request, opened.account, wish, back=f"{opened.base}/settings")
        return self._link(request, opened.account, secret) if refusal is None else refusal

    def _wish(self, opened: Opened, fields: dict[str, str]) -> Wish | None:
        """What a button of the settings asks for; None for what is no button of theirs."""
        by, number, rail = opened.opened_by, fields.get("number", ""), fields.get("rail", "")
        wish: Wish | None = None
        match fields.get("do"):
            case "card":
                wish = MakeCard(by, self._around.entropy(16).hex())
            case "no card":
                wish = RevokeCard(by)
            case "unlink":
                wish = UnlinkWallet(by, fields.get("wallet", ""))
            case "redirect":
                target = fields.get("target", "").strip() or None
                wish = Redirect(by, "onchain" if rail == "onchain" else "lightning", target)
            case "call off" if number.isdecimal():
                wish = CallOff(by, int(number[:18]))
        return wish

    def _ticket(self, request: IRequest, purpose: Purpose, account: str) -> Ticket:
        ticket = self._visits.ticket(request, purpose, account, self._around.now_ms() // 1000)
        self._visits.give_ticket(request, ticket)
        return ticket

    def _code(self, request: IRequest, ticket: Ticket, purpose: Purpose, opened: Opened | None) -> bytes:
        code = login_code(self._facts, ticket.k1, purpose)
        page = self._pages.code(code, None if opened is None else opened.base, self._around.now_ms())
        return reply.html(request, page, private=True)
