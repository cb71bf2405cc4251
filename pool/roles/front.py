"""The front role: jobs from its node, the Stratum ports, the share log, and blocks to the node."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from typing import IO, Final

from twisted.internet.defer import maybeDeferred
from twisted.internet.interfaces import IListeningPort

from pool import seats
from pool.accounts import Doorkeeper
from pool.chain import saved
from pool.chain.bitcoind import BitcoindNode, rpcs_for_role
from pool.chain.networks import RULES
from pool.config import PortConfig
from pool.errors import ConfigError
from pool.jobs import Settings
from pool.metrics import FrontMetrics
from pool.pots import pot_of
from pool.roles.base import Context, Loops
from pool.roles.listening import listen
from pool.sharelog import ShareLog
from pool.store.claims import ClaimReader
from pool.store.database import connect, connect_to_read
from pool.store.log_tree import fixed_until, newest_output
from pool.store.shares import ShareStore
from pool.store.stock import payees
from pool.store.submissions import Submissions
from pool.work import Work
from stratum.errors import Code
from stratum.options import Options
from stratum.server import StratumServer
from stratum.transport import lengthen_queue

COUNTS_EVERY_S: Final = 30.0
CHAIN_EVERY_S: Final = 1.0


class _Observer:
    """Tells the metrics what the miners' door sees, and keeps the counts of rejected shares for the site."""

    def __init__(self, metrics: FrontMetrics) -> None:
        self.news_age_s: Callable[[], float | None] = lambda: None
        self._metrics = metrics
        self._rejected: Counter[int] = Counter()

    def accepted(self, shares: int) -> None:
        """See stratum.ports.Observer."""
        self._metrics.accepted(shares)

    def rejected(self, code: Code) -> None:
        """See stratum.ports.Observer."""
        self._rejected[code] += 1
        self._metrics.rejected(code)

    def connections(self, live: int) -> None:
        """See stratum.ports.Observer."""
        self._metrics.connections(live)

    def job_told(self, connections: int, seconds: float) -> None:
        """See stratum.ports.Observer."""
        if connections:
            self._metrics.broadcast_seconds(seconds)
            age_s = self.news_age_s()
            if age_s is not None:
                self._metrics.news.tip_told(age_s - seconds, age_s)

    def take_rejected(self) -> dict[int, int]:
        """The counts since the last call."""
        counts, self._rejected = dict(self._rejected), Counter()
        return counts

    def put_back(self, counts: dict[int, int]) -> None:
        """They could not be written now."""
        self._rejected.update(counts)


class FrontRole:
    """See the module; one per front_id and store."""

    lock = "front"

    def __init__(self, context: Context) -> None:
        self._context = context
        self._nodes: list[BitcoindNode] = []
        self._work: Work | None = None
        self._server: StratumServer | None = None
        self._ports: list[IListeningPort] = []
        self._ports_are_ours: IO[str] | None = None
        self._log: ShareLog | None = None
        self._loops = Loops(context)
        self._seats: seats.SharedSeats | None = None
        self.lock = f"front-{context.config.stratum.front_id}"

    async def start(self) -> None:
        """Open the store, follow the node, make good what a crash left over, then open the ports."""
        context, config = self._context, self._context.config
        metrics = FrontMetrics()
        observer = _Observer(metrics)
        self._make_nodes()
        store = ShareStore(connect(config.store.directory, "shares"), config.stratum.front_id)
        ledger = await context.read("ledger")
        boot = store.boot(context.now_ms(), fixed_until(ledger))
        share_log = self._log = ShareLog(store, context.reactor, context.now_ms, metrics)
        settings = self._settings(boot)
        pays = payees(ledger, store.used_addresses, config.onchain.treasury_bps)
        fixes = newest_output(await context.read("ledger")) if config.rewards.commit else None
        work = self._work = Work(
            self._nodes, pays, share_log.submitted, settings, context.reactor, metrics.news, fixes
        )
        observer.news_age_s = work.news_age_s
        share_log.save_with(work.solve)
        await self._make_good(store, share_log, work)
        server = self._server = StratumServer(
            work,
            share_log,
            self._doorkeeper(ledger),
            context.reactor,
            self._options(PortConfig(endpoint="")),
            context.wall,
            observer,
        )
        self._share_seats(server)
        elsewhere = config.node.elsewhere()
        work.watch_loss(lambda: server.withdraw(elsewhere))
        metrics.template(context.wall())  # it waits from now on
        work.watch(lambda job: metrics.template(work.template_s or 0.0))
        work.start()
        self._loops.add("Comparing the nodes' network with ours", self._check_chain, CHAIN_EVERY_S)
        self._count_rejected(store, observer)
        await self._open_ports(server)

    def _make_nodes(self) -> None:
        node = self._context.config.node
        rpcs = rpcs_for_role(node, "front", self._context.reactor)
        self._nodes = [
            BitcoindNode(rpc, RULES[node.network], link.zmq)
            for rpc, link in zip(rpcs, node.links(), strict=True)
        ]

    def _settings(self, boot: int) -> Settings:
        config = self._context.config
        return Settings(
            front_id=config.stratum.front_id,
            boot=boot,
            tag=config.stratum.tag,
            directory=config.store.directory,
            network=config.node.network,
            poll_s=config.node.poll_s,
            job_interval_s=config.stratum.job_interval_s,
            silent_s=config.node.silent_s,
            failover_s=config.node.failover_s,
            return_s=config.node.return_s,
            empty_after_s=config.node.empty_after_s(),
        )

    def _count_rejected(self, store: ShareStore, observer: _Observer) -> None:
        async def count() -> None:
            counts = observer.take_rejected()
            if not store.count_rejected(counts, self._context.now_ms() // 3_600_000 * 3600):
                observer.put_back(counts)  # a sibling is writing: next time will do

        self._loops.add("Counting rejected shares", count, COUNTS_EVERY_S)

    async def _open_ports(self, server: StratumServer) -> None:
        ports = [
            (key, given.endpoint, server.factory_for(self._options(given)))
            for key, given in self._context.config.stratum.ports()
        ]
        self._ports_are_ours = await listen(self._context, ports, self._ports)
        for port in self._ports:
            lengthen_queue(port)

    async def _check_chain(self) -> None:
        """Give up when no node is on the configured network."""
        mend = None if self._work is None else self._work.wrong_network()
        if self._work is not None and mend is not None:
            self._work.stop()
            self._context.give_up(ConfigError(mend))

    async def _make_good(self, store: ShareStore, share_log: ShareLog, work: Work) -> None:
        """Log what an earlier run saved but never logged, and submit what no node is known to have.

        A node answers *duplicate* for a block that it has, so submitting twice does no harm.
        """
        directory = self._context.config.store.directory
        with closing(connect_to_read(directory, "shares")) as shares:
            known = Submissions(shares)
            for block in saved.read_all(directory, known.is_done):
                if not store.has_found(block.hash):
                    self._context.log.warn(
                        "Block {hash} was saved but not logged: making it good", hash=block.hash
                    )
                    share_log.log_saved(block)
                if not known.is_answered(block.hash):
                    work.submit(block)

    def _share_seats(self, server: StratumServer) -> None:
        """Whoever comes back finds its seat at this front, at a sibling, and at the next process."""
        context, stratum = self._context, self._context.config.stratum
        self._seats = seats.shared(
            context.config.store.directory,
            stratum.front_id,
            context.reactor,
            context.wall,
            siblings=stratum.processes > 1,
        )
        if self._seats is not None:
            server.share_seats(self._seats)

    def _doorkeeper(self, ledger: sqlite3.Connection) -> Doorkeeper:
        return Doorkeeper(self._context.config.node.network, ClaimReader(ledger).account_exists)

    def _options(self, port: PortConfig) -> Options:
        """The options of a port; an empty one has the pool's."""
        own = port.model_dump(exclude={"endpoint"}, exclude_none=True)
        stratum = self._context.config.stratum.model_copy(update=own)
        return Options(
            start_difficulty=stratum.start_difficulty,
            minimum_difficulty=stratum.minimum_difficulty,
            shares_per_minute=stratum.shares_per_minute,
            vardiff=stratum.vardiff,
            handshake_timeout_s=stratum.handshake_timeout_s,
            idle_timeout_s=stratum.idle_timeout_s,
            flush_s=stratum.flush_ms / 1000,
            front_id=stratum.front_id,
            max_connections=stratum.max_connections,
            max_connections_per_address=stratum.max_connections_per_address,
            pot=pot_of(port),
        )

    async def stop(self) -> None:
        """Close the ports, write what was accepted, answer it, hang up, and let go of the node."""
        self._loops.stop()
        for port in self._ports:
            await maybeDeferred(port.stopListening)
        if self._ports_are_ours is not None:
            self._ports_are_ours.close()
        if self._server is not None:
            await self._server.stop()
        if self._seats is not None:
            self._seats.close()
        if self._work is not None:
            self._work.stop()
        for node in self._nodes:
            node.close()
        if self._log is not None:
            self._log.close()
