"""The payer role: the only one with the wallets' credentials.  It listens on nothing."""

from __future__ import annotations

from typing import Any, Final

import attrs
from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.endpoints import HostnameEndpoint

from payouts.claims import ClaimTerms
from payouts.errors import NodeUnavailable, RpcRefused
from payouts.invoice import Network
from payouts.money import Msat, Sat, to_msat
from payouts.notifier import Notifier
from payouts.onchain.batch import Batcher, BatcherOptions
from payouts.onchain.bitcoind import BitcoindWallet, to_sat
from payouts.outbound import Outbound, Rule, by_reactor
from payouts.pusher import Pushes, PushOptions
from payouts.sender import Sender, SenderOptions
from payouts.values import PaymentState
from payouts.witness import Witness
from pool.accounts import payable_address
from pool.chain.bitcoind import rpc_for_role, wallet_call
from pool.config import Config, LightningConfig
from pool.lightning import lightning_node
from pool.metrics import PayerMetrics
from pool.payable import fee_policy, limits_of
from pool.roles.base import Context, Loops
from pool.roles.granting import GRANT_EVERY_S, granting
from pool.roles.notifying import NOTIFY_EVERY_S, notifying
from pool.roles.witnessing import WITNESS_EVERY_S, witnessing
from pool.store.database import connect
from pool.store.inbox import ClaimQueue, InboxReader
from pool.store.ledger import LedgerStore
from pool.store.operator import OperatorDesk
from pool.store.payments import SqliteBook
from pool.store.stock import AddressStock, used_addresses

STOCK_EVERY_S: Final = 0.5
BALANCES_EVERY_S: Final = 30.0
NETWORKS: Final = {
    "mainnet": Network.MAINNET,
    "testnet4": Network.TESTNET,
    "signet": Network.SIGNET,
    "regtest": Network.REGTEST,
}


class PayerRole:
    """See the module; one per store.

    Args:
        context: of the role.
        strangers: where miners' words may lead; None: public addresses only, found by the system's resolver.
    """

    lock = "payer"

    def __init__(self, context: Context, strangers: Rule | None = None) -> None:
        self._context = context
        self._rule = strangers or Rule(by_reactor(context.reactor))
        self._loops = Loops(context)
        self._sender: Sender | None = None
        self._batcher: Batcher | None = None
        self._notifier: Notifier | None = None
        self._witness: Witness | None = None

    async def start(self) -> None:
        """Open the books, keep the stock of addresses filled, reconcile, then pay."""
        context, config = self._context, self._context.config
        connection = connect(config.store.directory, "ledger")
        call = wallet_call(rpc_for_role(config.node, "payer", context.reactor))
        wallet = PoolWallet(call, config.onchain.wallet)
        books = LedgerStore(connection)
        shares = await context.read("shares")
        stock = AddressStock(connection, used_addresses(shares))

        async def fill_stock() -> None:
            missing = config.onchain.address_stock - stock.left()
            if missing > 0:
                books.add_addresses(await wallet.new_addresses(missing), context.now_ms())

        self._loops.add("Making addresses", fill_stock, STOCK_EVERY_S)
        metrics = PayerMetrics()
        book = CountedBook(
            connection,
            lambda account: payable_address(account, config.node.network) is not None,
            config.payouts.push_tries,
        )
        book.count_with(metrics)
        self._batcher = Batcher(
            book, BitcoindWallet(wallet.ask), context.reactor, context.now_ms, self._batches()
        )
        self._batcher.start()

        async def look_at_wallet() -> None:
            balances = await wallet.ask("getbalances")
            metrics.hot_wallet(to_msat(to_sat(balances["mine"]["trusted"])))

        self._loops.add("Asking the wallet for its balance", look_at_wallet, BALANCES_EVERY_S)
        if config.lightning is not None:
            await self._start_lightning(config.lightning, book, connection, metrics)
        self._loops.add("Answering wishes", await granting(context, connection), GRANT_EVERY_S)

    def _batches(self) -> BatcherOptions:
        onchain = self._context.config.onchain

        given = onchain.fee_rate_sat_vb
        return BatcherOptions(
            threshold=Sat(onchain.threshold_sat),
            fee_rate_msat_vb=None if given is None else int(given * to_msat(Sat(1))),
            confirmations=onchain.confirmations,
            interval_s=onchain.interval_s,
            watch_s=min(10.0, onchain.interval_s),
        )

    async def _start_lightning(
        self, lightning: LightningConfig, book: SqliteBook, connection: Any, metrics: PayerMetrics
    ) -> None:
        context = self._context
        node = lightning_node(lightning, context.reactor)
        claims = ClaimQueue(InboxReader(await context.read("inbox")), connection, context.now_ms)
        options = SenderOptions(
            terms=claim_terms(context.config, lightning, context.server_key()),
            limits=limits_of(context.config.payouts),
            overdue_s=context.config.payouts.unknown_after_s,
            open_per_account=lightning.open_per_account,
            open_in_all=lightning.open_in_all,
            since_s=OperatorDesk(connection).answerable_since_s(context.now_ms()),
            poll_s=0.05,
        )
        strangers = self._strangers()
        pushes = Pushes(book, strangers, self._pushes(lightning))
        self._sender = Sender(book, claims, node, context.reactor, context.now_ms, options, pushes)
        self._sender.start()

        async def look() -> None:
            metrics.outbound(await node.outbound())

        def waiting() -> bool:
            return bool(claims.unanswered(1))

        self._loops.add("Asking the Lightning node", look, BALANCES_EVERY_S)
        self._witness = witnessing(context, connection, strangers, waiting)
        self._loops.add("Asking payees' services", self._witness.look, WITNESS_EVERY_S)
        if context.config.payouts.balance_notify:
            self._notifier = notifying(context, lightning, connection, strangers, waiting)
            self._loops.add("Telling wallets of balances", self._notifier.look, NOTIFY_EVERY_S)

    def _strangers(self) -> Outbound:
        """The only way from here to the open internet."""
        reactor, proxy = self._context.reactor, None
        if self._context.config.payouts.tor_proxy is not None:
            host, _, port = self._context.config.payouts.tor_proxy.rpartition(":")
            proxy = HostnameEndpoint(reactor, host, int(port))
        return Outbound(reactor, attrs.evolve(self._rule, proxy=proxy))

    def _pushes(self, lightning: LightningConfig) -> PushOptions:
        least = max(self._context.config.payouts.push_above_sat, lightning.minimum_sat)
        return PushOptions(to_msat(Sat(least)))

    async def stop(self) -> None:
        """Stop sending; what is under way is on record as such, and asked about at the next start."""
        self._loops.stop()
        if self._sender is not None:
            self._sender.stop()
        if self._batcher is not None:
            self._batcher.stop()
        if self._notifier is not None:
            self._notifier.stop()
        if self._witness is not None:
            self._witness.stop()


def claim_terms(config: Config, lightning: LightningConfig, key: bytes) -> ClaimTerms:
    """What a claim must keep to: the same for the web, which says so early, and the payer, which decides."""
    return ClaimTerms(
        server_key=key,
        network=NETWORKS[config.node.network],
        minimum=Sat(lightning.minimum_sat),
        maximum=Sat(lightning.maximum_sat),
        fees=fee_policy(lightning, config.payouts),
        second_decoder=lightning.kind == "electrum",  # the other kinds decode the invoice themselves
        notify=config.payouts.balance_notify,
    )


class CountedBook(SqliteBook):
    """A book that tells the metrics what became of each payment, once it is on disk."""

    _metrics: PayerMetrics

    def count_with(self, metrics: PayerMetrics) -> None:
        """Where outcomes are told from now on."""
        self._metrics = metrics

    def settle(self, payment_id: int, preimage: str, fee: Msat, now_ms: int) -> None:
        """See payouts.ports.Book."""
        started_ms = self._started_ms(payment_id)
        super().settle(payment_id, preimage, fee, now_ms)
        self._ended(PaymentState.SETTLED, started_ms, now_ms)

    def fail(self, payment_id: int, reason: str, now_ms: int) -> None:
        """See payouts.ports.Book."""
        started_ms = self._started_ms(payment_id)
        super().fail(payment_id, reason, now_ms)
        self._ended(PaymentState.FAILED, started_ms, now_ms)

    def unknown(self, payment_id: int, reason: str, now_ms: int) -> None:
        """See payouts.ports.Book."""
        super().unknown(payment_id, reason, now_ms)
        self._metrics.outcome(PaymentState.UNKNOWN)

    def _started_ms(self, payment_id: int) -> int | None:
        return next((p.created_ms for p in self.open_payments() if p.payment_id == payment_id), None)

    def _ended(self, state: PaymentState, started_ms: int | None, now_ms: int) -> None:
        if started_ms is not None:  # else it had ended before: the same outcome again counts once
            self._metrics.outcome(state)
            self._metrics.payment_seconds((now_ms - started_ms) / 1000)


class PoolWallet:
    """The node's wallet of the pool: opened, or made, before the first call."""

    def __init__(self, call: Any, name: str) -> None:
        self._call = call
        self._name = name
        self._open = False
        self._opening = DeferredLock()

    async def ask(self, method: str, *params: object) -> Any:
        """A call to the wallet; a node that was restarted has it opened again.

        Raises:
            RpcRefused, NodeUnavailable: as payouts.errors has them.
        """
        await self._opening.run(lambda: Deferred.fromCoroutine(self._open_it()))
        try:
            return await self._call(method, *params, wallet=self._name)
        except (NodeUnavailable, RpcRefused):
            self._open = False
            raise

    async def _open_it(self) -> None:
        if self._open:
            return
        if self._name not in await self._call("listwallets"):
            known = {entry["name"] for entry in (await self._call("listwalletdir"))["wallets"]}
            await self._call("loadwallet" if self._name in known else "createwallet", self._name)
        self._open = True

    async def new_addresses(self, count: int) -> list[tuple[str, bytes]]:
        """Addresses that nobody has seen, with their scripts."""
        made = []
        for _ in range(count):
            address = str(await self.ask("getnewaddress", "coinbase", "bech32"))
            info = await self.ask("getaddressinfo", address)
            made.append((address, bytes.fromhex(info["scriptPubKey"])))
        return made
