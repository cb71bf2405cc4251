"""The book role: follows blocks by their headers, settles rewards, takes over new accounts."""

from __future__ import annotations

from typing import Final

from pool.chain.bitcoind import BitcoindNode, rpc_for_role
from pool.metrics import BookMetrics
from pool.pots import policies_of
from pool.roles.base import Context, Loops
from pool.settle import Settler
from pool.store.database import connect
from pool.store.inbox import InboxReader
from pool.store.ledger import LedgerStore
from pool.store.windows import ShareWindows

ACCOUNTS_EVERY_S: Final = 0.2


class BookRole:
    """See the module; one per store."""

    lock = "book"

    def __init__(self, context: Context) -> None:
        self._context = context
        self._loops = Loops(context)
        self._accounts_seen = 0
        self._best_hash = ""

    async def start(self) -> None:
        """Open the books and begin to follow the chain."""
        context, config = self._context, self._context.config
        metrics = BookMetrics()
        node = BitcoindNode(rpc_for_role(config.node, "book", context.reactor))
        books = LedgerStore(connect(config.store.directory, "ledger"))
        inbox = InboxReader(await context.read("inbox"))
        shares = await context.read("shares")
        windows = ShareWindows(shares)
        self._adopt(books, windows)
        settler = Settler(books, windows, node, config.rewards.maturity_confirmations, context.now_ms)

        async def settle() -> None:
            began_s = context.wall()
            changes = await settler.step()
            if changes:
                metrics.settle_seconds(context.wall() - began_s)
            info = await node.chain_info()
            if info.best_hash != self._best_hash:
                self._best_hash = info.best_hash
                metrics.tip(info.height, context.wall())

        async def take_over() -> None:
            self._take_over_accounts(books, inbox)

        self._loops.add("Settling blocks", settle, config.node.poll_s)
        self._loops.add("Taking over accounts", take_over, ACCOUNTS_EVERY_S)

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
