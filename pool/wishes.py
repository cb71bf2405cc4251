"""What people ask for on their account's pages, and the payer's judgement of it: granted, or why not.

The web files a wish and waits for the answer.  Whoever may write ``ledger.db`` judges it again from what
stands in the wish itself: a signature is checked where there is one, and what the page was opened with must
still open the account.  Secrets are in a wish as their hashes only.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, assert_never

import attrs
import msgspec

from payouts.login import Purpose, is_signed, read_k1
from payouts.signed import NONCE_DIGITS, objection, ownership_message
from pool.accounts import output_script
from pool.config import Network
from pool.errors import StoreError
from pool.store.access import AccessBook
from pool.store.destinations import DestinationDesk, Rail

CARD_NONCE: Final = re.compile(r"[0-9a-f]{32}")
SECRET_HASH: Final = re.compile(r"[0-9a-f]{64}")
LATEST_S: Final = 86_400
"""A signed message is void after a day at the latest, whatever it says."""
MOST_WALLETS: Final = 10
_NOT_OPEN: Final = "what this page was opened with no longer opens the account: open it anew"


class ProveAddress(msgspec.Struct, frozen=True, tag="prove"):
    """Open an address account by a claim secret, since its owner signed for it.

    Attributes:
        secret_hash: hex SHA-256 of the secret; its beginning is the message's nonce.
        expires_s: Unix second that the message names.
        signature: of ``payouts.signed.ownership_message``.
    """

    secret_hash: str
    expires_s: int
    signature: str


class RenewLink(msgspec.Struct, frozen=True, tag="renew"):
    """Open the account by another claim secret, and by nothing else but the wallet that asks for it."""

    opened_by: str
    secret_hash: str


class LinkWallet(msgspec.Struct, frozen=True, tag="link"):
    """Let a wallet log in; it has signed a challenge of ours that is good for nothing else."""

    opened_by: str
    wallet: str
    k1: str
    signature: str


class UnlinkWallet(msgspec.Struct, frozen=True, tag="unlink"):
    """Let a wallet no longer log in."""

    opened_by: str
    wallet: str


class MakeCard(msgspec.Struct, frozen=True, tag="card"):
    """Make a lasting withdraw link, in place of an older one."""

    opened_by: str
    nonce: str


class RevokeCard(msgspec.Struct, frozen=True, tag="no card"):
    """Let the account have no lasting withdraw link."""

    opened_by: str


class Redirect(msgspec.Struct, frozen=True, tag="redirect"):
    """Send automatic payouts elsewhere; ``target`` None means nowhere."""

    opened_by: str
    rail: Rail
    target: str | None


class CallOff(msgspec.Struct, frozen=True, tag="call off"):
    """Take a change of the destination back while it waits."""

    opened_by: str
    number: int


Wish = ProveAddress | RenewLink | LinkWallet | UnlinkWallet | MakeCard | RevokeCard | Redirect | CallOff
_DECODER: Final[msgspec.json.Decoder[Wish]] = msgspec.json.Decoder(Wish)


@attrs.frozen
class Filed:
    """A wish as it stands in the inbox; nothing in it is trusted.

    Attributes:
        wish_id: row number there.
        account: whose account.
        body: JSON of a Wish.
        answer_by_ms: void from this Unix millisecond on.
    """

    wish_id: int
    account: str
    body: str
    answer_by_ms: int


@attrs.frozen
class Verdict:
    """The answer to a wish.  Attributes: whether it was granted, and else why not."""

    granted: bool
    reason: str | None = None


@attrs.frozen
class WishTerms:
    """What wishes are judged by.

    Attributes:
        public_url: of the pool, as signed messages name it.
        network: whose addresses there are.
        server_key: authenticates challenges.
        wait_ms: how long a changed destination waits.
        target_of: a destination in its own spelling, or None when nothing can be paid there.
    """

    public_url: str
    network: Network
    server_key: bytes = attrs.field(repr=False)
    wait_ms: int
    target_of: Callable[[Rail, str], str | None]


def encode(wish: Wish) -> str:
    """A wish as JSON."""
    return msgspec.json.encode(wish).decode()


def decode(body: str) -> Wish | None:
    """A wish from JSON; None for anything that is none."""
    try:
        return _DECODER.decode(body)
    except (msgspec.DecodeError, msgspec.ValidationError):
        return None


class Granter:
    """Judges filed wishes and does what they ask; its caller holds the transaction around ``answer``.

    Args:
        access: the books' table of what opens an account.
        destinations: where automatic payouts go.
        terms: see WishTerms.
    """

    def __init__(self, access: AccessBook, destinations: DestinationDesk, terms: WishTerms) -> None:
        self._access = access
        self._destinations = destinations
        self._terms = terms

    def answer(self, filed: Filed, now_ms: int) -> Verdict:
        """Do what a wish asks for, or say why not."""
        if now_ms > filed.answer_by_ms:
            return Verdict(granted=False, reason="this took too long: please ask again")
        wish = decode(filed.body)
        if wish is None:
            return Verdict(granted=False, reason="this is nothing that can be asked for")
        try:
            reason = self._grant(filed.account, wish, now_ms)
        except StoreError as refused:
            reason = str(refused)
        return Verdict(granted=reason is None, reason=reason)

    def _grant(self, account: str, wish: Wish, now_ms: int) -> str | None:
        if isinstance(wish, ProveAddress):
            return self._prove(account, wish, now_ms)
        if not self._opens(wish.opened_by, account):
            return _NOT_OPEN
        refusal: str | None
        match wish:
            case RenewLink():
                refusal = self._renew(account, wish, now_ms)
            case LinkWallet():
                refusal = self._link(account, wish, now_ms)
            case Redirect():
                refusal = self._redirect(account, wish, now_ms)
            case CallOff():
                refusal = self._call_off(account, wish.number, now_ms)
            case _:
                refusal = self._change(account, wish, now_ms)
        return refusal

    def _opens(self, opened_by: str, account: str) -> bool:
        # whoever writes the inbox could ask for a pool account that is named like somebody's address
        is_address = output_script(account, self._terms.network) is not None
        proven = not is_address or self._access.has_link(account)
        return proven and self._access.opens(opened_by, account)

    def _change(self, account: str, wish: UnlinkWallet | MakeCard | RevokeCard, now_ms: int) -> str | None:
        match wish:
            case UnlinkWallet():
                self._access.unlink_wallet(account, wish.wallet, now_ms)
            case MakeCard():
                if not CARD_NONCE.fullmatch(wish.nonce):
                    return "this is no card"
                self._access.make_card(account, wish.nonce, now_ms)
            case RevokeCard():
                self._access.revoke_card(account, now_ms)
            case _:
                assert_never(wish)
        return None

    def _prove(self, account: str, wish: ProveAddress, now_ms: int) -> str | None:
        """An address account's link: only its owner's signature opens it, whatever the web says."""
        script = output_script(account, self._terms.network)
        if script is None or not SECRET_HASH.fullmatch(wish.secret_hash):
            return "this is no address that we pay to"
        now_s = now_ms // 1000
        if not now_s <= wish.expires_s <= now_s + LATEST_S:
            return "this message is out of date: sign a new one"
        nonce = wish.secret_hash[:NONCE_DIGITS]
        message = ownership_message(self._terms.public_url, account, nonce, wish.expires_s)
        refusal = objection(script, message, wish.signature)
        if refusal is None:
            self._access.renew_link(account, wish.secret_hash, now_ms, proof=f"{message}\n{wish.signature}")
        return refusal

    def _renew(self, account: str, wish: RenewLink, now_ms: int) -> str | None:
        if output_script(account, self._terms.network) is not None:
            return "the claim link of an address is renewed by signing a new message"
        if not SECRET_HASH.fullmatch(wish.secret_hash):
            return "this is no claim link"
        self._access.renew_link(account, wish.secret_hash, now_ms, keep=wish.opened_by)
        return None

    def _link(self, account: str, wish: LinkWallet, now_ms: int) -> str | None:
        challenge = read_k1(self._terms.server_key, wish.k1)
        if challenge is None or challenge.purpose is not Purpose.LINK or challenge.expires_s * 1000 < now_ms:
            return "this code is out of date: load the page again"
        if not is_signed(wish.k1, wish.wallet, wish.signature):
            return "the wallet's signature is not good"
        if len(self._access.wallets(account)) >= MOST_WALLETS:
            return f"an account has at most {MOST_WALLETS} wallets: unlink one first"
        self._access.link_wallet(account, wish.wallet, now_ms)
        return None

    def _redirect(self, account: str, wish: Redirect, now_ms: int) -> str | None:
        target = None if wish.target is None else self._terms.target_of(wish.rail, wish.target)
        if wish.target is not None and target is None:
            return "nothing can be paid there: check the address"
        # no longer to be paid unasked takes nothing from anybody, so it need not wait
        wait_ms = 0 if target is None else self._terms.wait_ms
        self._destinations.ask(account, wish.rail, target, by="account page", now_ms=now_ms, wait_ms=wait_ms)
        return None

    def _call_off(self, account: str, number: int, now_ms: int) -> str | None:
        rails: tuple[Rail, ...] = ("lightning", "onchain")
        waiting = [self._destinations.waiting(account, rail, now_ms) for rail in rails]
        if number not in {wish.id for wish in waiting if wish is not None}:
            return "there is no such change that is still waiting"
        self._destinations.call_off(number, now_ms)
        return None
