"""What owners may ask for and what is granted: judged from the wish itself, done once with its answer."""

from __future__ import annotations

import base64
import hashlib
import sqlite3
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest
from bdkpython import Address, Network, Script
from coincurve import PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from lnurl import lnurlauth_signature

from payouts import lnaddress, signed
from payouts.login import Challenge, Purpose, make_k1
from pool.store.access import AccessBook, AccessReader
from pool.store.claims import ClaimReader
from pool.store.database import connect
from pool.store.destinations import DestinationDesk, Rail
from pool.store.inbox import InboxReader
from pool.store.wishes import WishAnswers, WishInbox, answer_wishes
from pool.wishes import (
    MOST_WALLETS,
    CallOff,
    Filed,
    Granter,
    LinkWallet,
    MakeCard,
    ProveAddress,
    Redirect,
    RenewLink,
    RevokeCard,
    UnlinkWallet,
    Verdict,
    Wish,
    WishTerms,
    decode,
    encode,
)

NOW_MS = 1_800_000_000_000
NOW_S = NOW_MS // 1000
DAY_MS = 24 * 3_600_000
KEY = b"k" * 32
URL = "https://pool.example"
FIRST, SECOND = "1" * 64, "2" * 64
OWNER = PrivateKey(b"\x07" * 32)
SCRIPT = signed._p2wpkh(OWNER.public_key.format())
ADDRESS = str(Address.from_script(Script(SCRIPT), Network.REGTEST))


def target_of(rail: Rail, text: str) -> str | None:
    return lnaddress.normal(text) if rail == "lightning" else text


TERMS = WishTerms(URL, "regtest", KEY, DAY_MS, target_of)


def by_owner(message: str, key: PrivateKey = OWNER) -> str:
    """A Bitcoin Signed Message as Electrum makes it for a segwit address."""
    text = message.encode()
    digest = signed._sha256d(b"\x18Bitcoin Signed Message:\n" + bytes([len(text)]) + text)
    compact = key.sign_recoverable(digest, hasher=None)
    return base64.b64encode(bytes([31 + compact[64]]) + compact[:64]).decode()


def proof(secret_hash: str = FIRST, expires_s: int = NOW_S + 60, url: str = URL) -> ProveAddress:
    message = signed.ownership_message(url, ADDRESS, secret_hash[:32], expires_s)
    return ProveAddress(secret_hash, expires_s, by_owner(message))


@attrs.define
class Pool:
    """The two files with a pool account "alice" that secret FIRST opens, and a payer."""

    directory: Path
    now_ms: int = NOW_MS
    inbox: sqlite3.Connection = attrs.field(init=False)
    ledger: sqlite3.Connection = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.inbox, self.ledger = connect(self.directory, "inbox"), connect(self.directory, "ledger")
        self.ledger.execute("INSERT INTO account VALUES ('alice', ?, 0)", (FIRST,))

    @property
    def reader(self) -> AccessReader:
        return ClaimReader(self.ledger)

    @property
    def destinations(self) -> DestinationDesk:
        return DestinationDesk(self.ledger)

    def answer(self) -> Callable[[Filed, int], Verdict]:
        return Granter(AccessBook(self.ledger), DestinationDesk(self.ledger), TERMS).answer

    def ask(self, wish: Wish, account: str = "alice") -> str | None:
        """The reason of the refusal, or None."""
        filed = WishInbox(self.inbox).file(account, encode(wish), self.now_ms, self.now_ms + 5_000)
        assert answer_wishes(self.inbox, self.ledger, self.answer(), self.now_ms) == 1
        verdict = WishAnswers(self.ledger).answer_to(filed)
        assert verdict is not None
        return None if verdict.granted else verdict.reason or ""


@pytest.fixture
def pool(tmp_path: Path) -> Pool:
    return Pool(tmp_path)


def test_an_owners_signature_opens_the_account_of_the_address(pool: Pool) -> None:
    assert pool.ask(proof(SECOND), ADDRESS) is None
    assert pool.reader.account_of_link(SECOND) == ADDRESS
    assert pool.reader.has_link(ADDRESS)


def test_a_signature_works_once_and_a_newer_one_takes_the_link_away(pool: Pool) -> None:
    assert pool.ask(proof(SECOND), ADDRESS) is None
    assert "already" in (pool.ask(proof(SECOND), ADDRESS) or "")
    assert pool.ask(proof("3" * 64), ADDRESS) is None
    assert pool.reader.account_of_link(SECOND) is None
    assert "already" in (pool.ask(proof(SECOND), ADDRESS) or "")
    assert pool.reader.account_of_link("3" * 64) == ADDRESS


@pytest.mark.parametrize(
    ("wish", "account", "words"),
    [
        (proof(SECOND, NOW_S - 1), ADDRESS, "out of date"),
        (proof(SECOND, NOW_S + 86_401), ADDRESS, "out of date"),
        (proof(SECOND, url="https://other.example"), ADDRESS, "not of this address and this message"),
        (attrs.evolve, ADDRESS, "not of this address and this message"),
        (proof("x" * 64), ADDRESS, "no address"),
        (proof(SECOND), "alice", "no address"),
        (proof(FIRST), ADDRESS, "given away already"),
    ],
)
def test_what_no_owner_signed_opens_nothing(pool: Pool, wish: object, account: str, words: str) -> None:
    asked = wish if isinstance(wish, ProveAddress) else ProveAddress(SECOND, NOW_S + 60, proof().signature)
    assert words in (pool.ask(asked, account) or "")
    assert pool.reader.account_of_link(SECOND) is None
    assert pool.reader.account_of_link(FIRST) == "alice"


def test_a_new_claim_link_is_the_only_one(pool: Pool) -> None:
    assert pool.ask(RenewLink(FIRST, SECOND)) is None
    assert pool.reader.account_of_link(FIRST) is None
    assert pool.reader.account_of_link(SECOND) == "alice"
    assert "no longer opens" in (pool.ask(RenewLink(FIRST, "3" * 64)) or "")
    assert pool.ask(RenewLink(SECOND, "3" * 64)) is None


def test_a_new_claim_link_takes_card_and_wallets_away_but_the_wallet_that_asks(pool: Pool) -> None:
    own, other = linking(5), linking(6)
    assert [pool.ask(wish) for wish in (own, other, MakeCard(FIRST, "a" * 32))] == [None] * 3
    assert pool.ask(RenewLink(own.wallet, SECOND)) is None
    assert [wallet.key for wallet in pool.reader.wallets("alice")] == [own.wallet]
    assert pool.reader.card("alice") is None
    assert pool.ask(RenewLink(SECOND, "3" * 64)) is None
    assert pool.reader.wallets("alice") == []


def test_nothing_is_granted_for_an_account_that_was_not_opened(pool: Pool) -> None:
    pool.ledger.execute("INSERT INTO account VALUES ('bob', ?, 0)", (SECOND,))
    wallet = "02" + "1" * 64
    wishes: list[Wish] = [
        RenewLink(SECOND, "3" * 64),
        LinkWallet(SECOND, wallet, "0" * 64, "30"),
        UnlinkWallet(SECOND, wallet),
        MakeCard(SECOND, "0" * 32),
        RevokeCard("nonsense"),
        Redirect(SECOND, "lightning", "bob@wallet.example"),
        CallOff(SECOND, 1),
    ]
    assert all("no longer opens" in (pool.ask(wish) or "") for wish in wishes)
    assert pool.reader.account_of_link(FIRST) == "alice"
    assert pool.reader.card("alice") is None
    assert pool.destinations.waiting("alice", "lightning", NOW_MS) is None


def linking(seed: int, purpose: Purpose = Purpose.LINK, until_s: int = NOW_S + 60) -> LinkWallet:
    k1 = make_k1(KEY, Challenge(purpose, until_s), f"ticket {seed}", "alice")
    wallet, signature = lnurlauth_signature(k1, bytes([seed]) * 32)
    return LinkWallet(FIRST, wallet, k1, signature)


def test_a_linked_wallet_opens_the_account_until_it_is_unlinked(pool: Pool) -> None:
    wish = linking(5)
    assert pool.ask(wish) is None
    assert pool.reader.account_of_wallet(wish.wallet) == "alice"
    assert pool.ask(MakeCard(wish.wallet, "a" * 32)) is None  # and may do what the claim link may
    assert "logs in" in (pool.ask(wish) or "")
    assert pool.ask(UnlinkWallet(FIRST, wish.wallet)) is None
    assert pool.reader.account_of_wallet(wish.wallet) is None
    assert pool.ask(wish) is None


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        (linking(5, Purpose.LOGIN), "out of date"),
        (linking(5, until_s=NOW_S - 1), "out of date"),
        (LinkWallet(FIRST, linking(6).wallet, linking(5).k1, linking(5).signature), "not good"),
        (LinkWallet(FIRST, linking(5).wallet, "0" * 64, linking(5).signature), "out of date"),
    ],
)
def test_a_wallet_that_signed_nothing_is_not_linked(pool: Pool, wish: LinkWallet, words: str) -> None:
    assert words in (pool.ask(wish) or "")
    assert pool.reader.wallets("alice") == []


def test_an_account_has_not_more_wallets_than_a_person_knows(pool: Pool) -> None:
    for seed in range(1, MOST_WALLETS + 1):
        assert pool.ask(linking(seed)) is None
    assert f"at most {MOST_WALLETS}" in (pool.ask(linking(99)) or "")


def test_an_account_has_one_card_and_each_has_a_number_of_its_own(pool: Pool) -> None:
    assert pool.ask(MakeCard(FIRST, "a" * 32)) is None
    first = pool.reader.card_number("alice")
    assert pool.ask(MakeCard(FIRST, "b" * 32)) is None
    second = pool.reader.card_number("alice")
    assert first == 0xAAAAAAAAAA  # drawn, not counted: a restored backup must not give it away once more
    assert second == 0xBBBBBBBBBB
    assert pool.ask(RevokeCard(FIRST)) is None
    assert pool.reader.card_number("alice") == 0
    assert "no card" in (pool.ask(MakeCard(FIRST, "z")) or "")


def test_another_destination_waits_and_can_be_taken_back(pool: Pool) -> None:
    assert pool.ask(Redirect(FIRST, "lightning", "Alice@Wallet.example")) is None
    waiting = pool.destinations.waiting("alice", "lightning", NOW_MS)
    assert waiting is not None
    assert (waiting.target, waiting.valid_from_ms) == ("alice@wallet.example", NOW_MS + DAY_MS)
    assert pool.destinations.valid("alice", "lightning", NOW_MS + DAY_MS - 1) is None
    assert "no such change" in (pool.ask(CallOff(FIRST, waiting.id + 1)) or "")
    assert pool.ask(CallOff(FIRST, waiting.id)) is None
    assert pool.destinations.valid("alice", "lightning", NOW_MS + DAY_MS) is None


def test_nowhere_holds_at_once_and_nonsense_never(pool: Pool) -> None:
    assert pool.ask(Redirect(FIRST, "lightning", "alice@wallet.example")) is None
    pool.now_ms += DAY_MS
    valid = pool.destinations.valid("alice", "lightning", pool.now_ms)
    assert valid is not None
    assert "check the address" in (pool.ask(Redirect(FIRST, "lightning", "nobody")) or "")
    assert pool.ask(Redirect(FIRST, "lightning", None)) is None
    valid = pool.destinations.valid("alice", "lightning", pool.now_ms)
    assert valid is None or valid.target is None


def test_nobody_takes_back_what_another_account_asked_for(pool: Pool) -> None:
    pool.ledger.execute("INSERT INTO account VALUES ('bob', ?, 0)", (SECOND,))
    assert pool.ask(Redirect(SECOND, "lightning", "bob@wallet.example"), "bob") is None
    waiting = pool.destinations.waiting("bob", "lightning", NOW_MS)
    assert waiting is not None
    assert "no such change" in (pool.ask(CallOff(FIRST, waiting.id)) or "")


def test_an_account_named_like_an_address_opens_nothing_of_it(pool: Pool) -> None:
    pool.inbox.execute(
        "INSERT INTO new_account (name, secret_hash, created_ms) VALUES (?, 'x', 0)", (ADDRESS,)
    )
    assert InboxReader(pool.inbox).accounts_after(0) == []
    pool.ledger.execute("INSERT INTO account VALUES (?, ?, 0)", (ADDRESS, SECOND))
    for wish in (Redirect(SECOND, "lightning", "thief@wallet.example"), MakeCard(SECOND, "a" * 32)):
        assert "no longer opens" in (pool.ask(wish, ADDRESS) or "")
    assert pool.ask(proof("3" * 64), ADDRESS) is None
    assert "no longer opens" in (pool.ask(MakeCard(SECOND, "a" * 32), ADDRESS) or "")
    assert pool.ask(MakeCard("3" * 64, "a" * 32), ADDRESS) is None


def test_a_wish_that_waited_too_long_is_void(pool: Pool) -> None:
    filed = WishInbox(pool.inbox).file("alice", encode(RenewLink(FIRST, SECOND)), NOW_MS, NOW_MS + 5_000)
    assert answer_wishes(pool.inbox, pool.ledger, pool.answer(), NOW_MS + 5_001) == 0
    assert WishAnswers(pool.ledger).answer_to(filed) is None
    assert pool.answer()(filed, NOW_MS + 5_001).reason == "this took too long: please ask again"


def test_a_payer_that_dies_while_it_grants_has_done_nothing(pool: Pool) -> None:
    filed = WishInbox(pool.inbox).file("alice", encode(RenewLink(FIRST, SECOND)), NOW_MS, NOW_MS + 5_000)

    def dies(wish: Filed, now_ms: int) -> Verdict:
        assert pool.answer()(wish, now_ms).granted
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        answer_wishes(pool.inbox, pool.ledger, dies, NOW_MS)
    assert pool.reader.account_of_link(FIRST) == "alice"
    assert answer_wishes(pool.inbox, pool.ledger, pool.answer(), NOW_MS) == 1
    assert answer_wishes(pool.inbox, pool.ledger, pool.answer(), NOW_MS) == 0
    assert WishAnswers(pool.ledger).answer_to(filed) == Verdict(granted=True)


def test_an_inbox_that_was_begun_anew_reads_no_older_answer(pool: Pool) -> None:
    pool.ask(MakeCard(FIRST, "a" * 32))
    assert WishAnswers(pool.ledger).answer_to(Filed(1, "alice", encode(RevokeCard(FIRST)), 0)) is None


def test_a_challenge_is_kept_once_and_not_for_ever(pool: Pool) -> None:
    inbox, k1_hash = WishInbox(pool.inbox), hashlib.sha256(b"k1").hexdigest()
    assert inbox.keep_login(k1_hash, "02aa", "3044", NOW_MS)
    assert not inbox.keep_login(k1_hash, "02bb", "3045", NOW_MS)
    assert inbox.login(k1_hash) == ("02aa", "3044")
    assert inbox.keep_login("other", "02aa", "3044", NOW_MS + 3_600_001)
    assert inbox.login(k1_hash) is None


@given(st.one_of(st.text(max_size=60), st.binary(max_size=40).map(repr)))
def test_no_text_is_a_wish_by_chance(body: str) -> None:
    assert decode(body) is None


def test_a_wish_is_read_as_it_was_filed() -> None:
    wishes: list[Wish] = [proof(), linking(5), Redirect(FIRST, "onchain", None), CallOff(FIRST, 3)]
    assert [decode(encode(wish)) for wish in wishes] == wishes
    assert decode(encode(RevokeCard(FIRST))[:-1] + ',"more":1}') == RevokeCard(FIRST)


def test_what_wishes_are_judged_by_shows_no_key() -> None:
    assert KEY.decode() not in repr(TERMS)
