"""The book role: follows blocks by their headers, settles rewards, takes over new accounts."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import partial
from typing import Final

from pool.advances import Advancer, early_credit
from pool.aside import aside
from pool.chain.bitcoind import BitcoindNode, rpcs_for_role
from pool.chain.node import ChainInfo
from pool.chain.view import ManyNodes
from pool.crediting import Crediting
from pool.metrics import BookMetrics
from pool.pots import pays_for_fees, policies_of
from pool.rates import RateBook
from pool.recheck import Rechecker
from pool.reserve import reserve_of
from pool.roles.base import Context, Loops
from pool.roles.proving import keep_proofs
from pool.settle import Change, Settler
from pool.store.assertions import AssertionTable
from pool.store.blocks import BlockState
from pool.store.chunk_sums import ChunkSums
from pool.store.database import connect
from pool.store.flows import FlowReader
from pool.store.inbox import InboxReader
from pool.store.ledger import LedgerStore
from pool.store.reward_checks import RewardChecks
from pool.store.treasury import TreasuryTable, addresses_of, missing, paid_by
from pool.store.windows import ShareWindows
from pool.treasury import derive

ACCOUNTS_EVERY_S: Final = 0.2
ASSERT_EVERY_S: Final = 60.0
EARLY_EVERY_S: Final = 5.0
RECHECK_EVERY_S: Final = 5.0
SHARES_EVERY_S: Final = 10.0
TREASURY_EVERY_S: Final = 1.0


class BookRole:
    """See the module; one per store."""

    lock = "book"

    def __init__(self, context: Context) -> None:
        self._context = context
        self._loops = Loops(context)
        self._accounts_seen = 0
        self._tip: ChainInfo | None = None

    async def start(self) -> None:
        """Open the books and begin to follow the chain."""
        context, config = self._context, self._context.config
        metrics = BookMetrics()
        node = ManyNodes([BitcoindNode(rpc) for rpc in rpcs_for_role(config.node, "book", context.reactor)])
        connection = connect(config.store.directory, "ledger")
        books, treasury = LedgerStore(connection), TreasuryTable(connection)
        inbox = InboxReader(await context.read("inbox"))
        shares = await context.read("shares")
        windows = ShareWindows(shares, ChunkSums(connection))
        self._adopt(books, windows)
        crediting = Crediting(books, windows, context.now_ms)
        rates = RateBook(books, node, context.now_ms)
        settler = Settler(books, windows, node, config.rewards.maturity_confirmations, context.now_ms)

        async def settle() -> None:
            began_s = context.wall()
            changes = await settler.step()
            self._say_what_treasury_gets(changes, treasury, shares)
            if changes:
                metrics.settle_seconds(context.wall() - began_s)
            self._see(await node.chain_info(), metrics, books)

        async def fill_treasury() -> None:
            self._fill_treasury(treasury, shares)

        async def learn_rates() -> None:
            if await self._learn_rates(rates, crediting):
                self._tell_reserve(metrics, books)

        async def pay_shares() -> None:
            crediting.step()

        async def take_over() -> None:
            self._take_over_accounts(books, inbox)

        self._loops.add("Settling blocks", settle, config.node.poll_s)
        self._loops.add("Making addresses of the treasury", fill_treasury, TREASURY_EVERY_S)
        self._loops.add("Paying for shares", pay_shares, SHARES_EVERY_S)
        self._loops.add("Learning what blocks bring in fees", learn_rates, config.node.poll_s)
        self._loops.add("Taking over accounts", take_over, ACCOUNTS_EVERY_S)
        self._credit_early(books, connection, settler, metrics)
        self._watch_over(connection)
        keep_proofs(context, self._loops, connection, shares)

    def _see(self, tip: ChainInfo, metrics: BookMetrics, books: LedgerStore) -> None:
        before, self._tip = self._tip, tip
        if before is None or before.best_hash != tip.best_hash:
            metrics.tip(tip.height, self._context.wall())
            self._tell_reserve(metrics, books)

    async def _learn_rates(self, rates: RateBook, crediting: Crediting) -> int:
        if self._tip is None:
            return 0
        return await rates.step(self._tip, crediting.waiting(), ahead=pays_for_fees(self._context.config))

    def _tell_reserve(self, metrics: BookMetrics, books: LedgerStore) -> None:
        height = 0 if self._tip is None else self._tip.height
        reserve = reserve_of(self._context.config, books.balances(), height, books.rates.newest())
        if reserve is not None and not reserve.waits:
            metrics.reserve(reserve.left, reserve.ruin)

    def _credit_early(
        self, books: LedgerStore, connection: sqlite3.Connection, settler: Settler, metrics: BookMetrics
    ) -> None:
        """Let miners have rewards before they mature, if the operator does."""
        terms = early_credit(self._context.config)
        if terms is None:
            return
        metrics.early_credit_cap(terms.cap)
        checks, flows = RewardChecks(connection), FlowReader(connection)
        advancer = Advancer(books, checks, flows, terms, self._context.now_ms)

        async def credit_early() -> None:
            advancer.step(settler.shown)

        self._loops.add("Crediting early", credit_early, EARLY_EVERY_S)

    def _watch_over(self, connection: sqlite3.Connection) -> None:
        """Count what was paid again, beside the rest, and write down each day what the books came to."""
        context, assertions = self._context, AssertionTable(connection)
        rechecker = Rechecker(
            context.config.store.directory, connection, context.now_ms, partial(aside, context.reactor)
        )

        async def assert_day() -> None:
            said = assertions.write(context.now_ms())
            if said is not None:
                # in the log it is out of reach of whoever rewrites the file
                context.log.info(
                    "{day} began with entry {entry} of the journal, hash {hash}",
                    day=said.day,
                    entry=said.journal_id,
                    hash=said.journal_hash,
                )

        self._loops.add("Counting rewards again", rechecker.step, RECHECK_EVERY_S)
        self._loops.add("Asserting balances", assert_day, ASSERT_EVERY_S)

    def _adopt(self, books: LedgerStore, windows: ShareWindows) -> None:
        """Write down under which policies shares are mined from now on, where they have changed."""
        wanted, context = policies_of(self._context.config), self._context
        for change in books.adopt(wanted, windows.newest(), context.now_ms()):
            context.log.warn(
                "Shares of pot {pot} after {after_share} are mined under policy {hash}: {terms}",
                pot=change.pot,
                after_share=change.term.after_share,
                hash=change.term.policy.hash,
                terms=change.term.policy.text,
            )

    def _fill_treasury(self, treasury: TreasuryTable, shares: sqlite3.Connection) -> None:
        """Derive the addresses of coming blocks: no wallet is needed for it, and no private key."""
        in_use, config = treasury.in_use(), self._context.config
        if in_use is None:
            return
        known = treasury.addresses(in_use.treasury_id)
        wanted = missing(known, paid_by(shares), treasury.states(), config.onchain.treasury_gap)
        if wanted:
            made = list(derive(in_use.descriptor, wanted.start, len(wanted), config.node.network))
            treasury.stock(in_use.treasury_id, made, self._context.now_ms())

    def _say_what_treasury_gets(
        self, changes: Sequence[Change], treasury: TreasuryTable, shares: sqlite3.Connection
    ) -> None:
        """The proof of which index was used, for whoever counts on the offline machine."""
        for change in changes:
            if change.block.state is BlockState.IMMATURE:
                for paid in treasury.find(addresses_of(shares, change.block.found.hash)):
                    self._context.log.info(
                        "Block {hash} pays the treasury: index {number} of descriptor {of}, {address}",
                        hash=change.block.found.hash,
                        height=change.block.found.height,
                        number=paid.number,
                        of=paid.treasury_id,
                        address=paid.address,
                    )

    def _take_over_accounts(self, books: LedgerStore, inbox: InboxReader) -> None:
        asked = inbox.accounts_after(self._accounts_seen)
        if not asked:
            return
        made = books.take_over_accounts([account for _, account in asked])
        self._accounts_seen = asked[-1][0]
        if made:
            self._context.log.info("Made {count} new account(s)", count=made)

    async def stop(self) -> None:
        """Stop following; a step under way is one transaction or none."""
        self._loops.stop()
