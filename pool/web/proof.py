"""Proving that an address is one's own: the text to sign, the signature, and the claim link that it opens."""

from __future__ import annotations

from typing import Final

from klein import Klein
from twisted.python.failure import Failure
from twisted.web.iweb import IRequest
from twisted.web.resource import IResource

from payouts.signed import NONCE_DIGITS, objection, ownership_message
from pool.accounts import hash_secret, new_secret, output_script, payable_address
from pool.web import reply
from pool.web.access import visitor
from pool.web.bucket import Gate
from pool.web.pages import Proof
from pool.web.private import LOGINS, LOGINS_EACH, SECRET, Private, Surroundings
from pool.wishes import ProveAddress

PROOF_S: Final = 3600
"""How long there is to sign: a hardware wallet has to be fetched and unlocked."""


class ProofPages(Private):
    """The routes below ``/prove``.  Nothing is kept before a good signature has come."""

    app = Klein()

    def __init__(self, around: Surroundings) -> None:
        super().__init__(around)
        self._signatures = Gate(LOGINS, LOGINS_EACH)

    def resource(self) -> IResource:
        """The pages as a Twisted resource, to be mounted at the root."""
        return self.app.resource()

    @app.route("/prove/<address>", methods=["GET"])
    def prove(self, request: IRequest, address: str) -> bytes:
        """The text that an address's owner signs."""
        name = payable_address(address, self._facts.network)
        if name is None or self._facts.lightning_minimum is None:
            return self._no_address(request)
        expires_s = self._around.now_ms() // 1000 + PROOF_S
        return self._proof_page(request, name, new_secret(self._around.entropy(32)), expires_s)

    @app.route("/prove/<address>", methods=["POST"])
    async def proven(self, request: IRequest, address: str) -> bytes:
        """Take the signature, and show the claim link that it opens, this once."""
        name = payable_address(address, self._facts.network)
        fields = reply.form(request)
        secret, until = fields.get("secret", ""), fields.get("until", "")
        script = None if name is None else output_script(name, self._facts.network)
        if name is None or script is None or not SECRET.fullmatch(secret) or not until.isdecimal():
            return self._no_address(request)
        if not self._signatures.take(self._around.now_ms(), visitor(request)):
            return self._too_many(request)
        expires_s, signature = int(until[:12]), fields.get("signature", "")
        message = self._message_of(name, secret, expires_s)
        objected = objection(script, message, signature)
        if objected is not None:
            return self._proof_page(request, name, secret, expires_s, objected)
        wish = ProveAddress(hash_secret(secret), expires_s, "".join(signature.split()))
        refusal = await self._ask(request, name, wish)
        return self._link(request, name, secret) if refusal is None else refusal

    @app.handle_errors(Exception)
    def broken(self, request: IRequest, failure: Failure) -> bytes:
        """No page of ours, or something broke."""
        return self._odd(request, failure)

    def _message_of(self, address: str, secret: str, expires_s: int) -> str:
        nonce = hash_secret(secret)[:NONCE_DIGITS]
        return ownership_message(self._facts.public_url, address, nonce, expires_s)

    def _proof_page(
        self, request: IRequest, address: str, secret: str, expires_s: int, objected: str | None = None
    ) -> bytes:
        message, now_ms = self._message_of(address, secret, expires_s), self._around.now_ms()
        page = self._pages.prove(Proof(address, message, secret, expires_s, objected), now_ms)
        return reply.html(request, page, private=True, referrer="same-origin")

    def _no_address(self, request: IRequest) -> bytes:
        text = f"This is no {self._facts.network} address that can be withdrawn from over Lightning here."
        return self._message(request, 404, "Not an address", text)
