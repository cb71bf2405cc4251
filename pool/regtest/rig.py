"""The whole of it: bitcoind, an Electrum server and two Lightning nodes with a channel between them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from pool.regtest.bitcoind import Bitcoind
from pool.regtest.electrum import Electrum, ElectrumX, btc
from pool.regtest.fetch import Tools
from pool.regtest.processes import wait_until

BANK = "bank"
_BLOCKS = 110  # the first ten coinbases can be spent, and the subsidy is still 50 BTC
_FUNDS_SAT = 100_000_000
CHANNEL_SAT = 16_000_000
POOL_SIDE_SAT = 8_000_000
_FUNDING_BLOCKS = 3


class Rig:
    """Real programs on regtest, all on free loopback ports, gone after `stop` or with this process.

    The directory should be a fresh one: a rig is not meant to be started again from what another has left.

    The miner's wallet funds the channel and gives the pool's node its half in it, so that the pool's node
    holds nothing on the chain: every satoshi that it reports is channel balance.

    Attributes:
        bitcoind: the node; its wallet "bank" mines and funds, and is not the pool's.
        electrumx: the server of the two Lightning nodes.
        pool: the pool's Lightning node.
        wallet: the miner's Lightning wallet.
    """

    def __init__(self, directory: Path, tools: Tools, progress: Callable[[str], None]) -> None:
        self.directory = directory
        self.tools = tools
        self._progress = progress
        self.bitcoind = Bitcoind(tools, directory / "bitcoind")
        self.electrumx = ElectrumX(tools, directory / "electrumx", self.bitcoind)
        self.pool = Electrum(tools, directory / "electrum-pool", "pool", self.electrumx.port)
        self.wallet = Electrum(tools, directory / "electrum-wallet", "wallet", self.electrumx.port)
        self._bank_address = ""

    def __enter__(self) -> Rig:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start everything in a fresh directory; returns when a payment can go each way.

        Raises:
            NotReady: a program ended or was not ready in time; nothing is left running.
        """
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def _start(self) -> None:
        self._progress("starting bitcoind, an Electrum server and two Lightning nodes")
        nodes = (self.pool, self.wallet)
        for node in nodes:
            node.launch()
        self._start_chain()
        self.electrumx.start()
        for node in nodes:
            node.start()
        self._fund(self.wallet)
        self._progress("opening a channel between them")
        self._open_channel()
        self._progress("bitcoind and both Lightning nodes are ready")

    def _start_chain(self) -> None:
        self.bitcoind.start()
        self.bitcoind.open_wallet(BANK)
        self._bank_address = self.bitcoind.rpc("getnewaddress", wallet=BANK)
        self.mine(_BLOCKS)

    def _fund(self, node: Electrum) -> None:
        """Give a wallet its coins."""
        self.bitcoind.rpc("sendtoaddress", node.address(), btc(_FUNDS_SAT), wallet=BANK)
        self.mine(1)

    def _open_channel(self) -> None:
        height = self.bitcoind.rpc("getblockcount")
        self._wait(
            "both Lightning nodes know the chain",
            lambda: self.pool.synchronized(height) and self.wallet.synchronized(height),
        )
        self._wait("the wallet has its coins", lambda: self.wallet.onchain_sat() >= _FUNDS_SAT)
        self.wallet.rpc(
            "open_channel",
            connection_string=self.pool.rpc("nodeid"),
            amount=btc(CHANNEL_SAT),
            push_amount=btc(POOL_SIDE_SAT),
        )
        self._wait("the funding is in the mempool", lambda: self.bitcoind.rpc("getrawmempool"))
        self.mine(_FUNDING_BLOCKS)
        self.wait_for_channel()

    def mine(self, count: int = 1) -> list[str]:
        """Mine blocks to the bank; returns their hashes, oldest first."""
        return self.bitcoind.mine(count, self._bank_address)

    def revive(self) -> None:
        """Start again whatever has been killed or stopped, and wait until the channel is usable.

        Raises:
            NotReady: not within a minute.
        """
        for one in (self.bitcoind, self.electrumx, self.pool, self.wallet):
            if not one.program.running:
                one.start()
        self.bitcoind.open_wallet(BANK)  # one that was started again may have none open
        self.wait_for_channel()

    def wait_for_channel(self, deadline_s: float = 60.0) -> None:
        """Wait until both ends of the channel can pay; a restarted node needs some seconds for it.

        Raises:
            NotReady: not within the deadline.
        """
        wait_until(
            "the channel is open at both ends",
            lambda: self.pool.usable() and self.wallet.usable(),
            deadline_s,
            [self.pool.program, self.wallet.program],
        )

    def reconnect(self) -> None:
        """Have the pool's node look for its peer at once, when one of the two was started again.

        By itself it may take 20 s.

        Raises:
            NotReady: the channel is not usable within its deadline.
        """
        peer = self.wallet.rpc("nodeid")
        # while the other end starts, or both connect at once, it is refused
        self._wait("the peer is connected", lambda: self.pool.rpc("add_peer", connection_string=peer))
        self.wait_for_channel()

    def _wait(self, what: str, probe: Callable[[], object]) -> None:
        programs = (self.bitcoind, self.electrumx, self.pool, self.wallet)
        wait_until(what, probe, 60.0, [each.program for each in programs])

    def stop(self) -> None:
        """End everything, side by side; safe to call twice."""
        everything = (self.pool, self.wallet, self.electrumx, self.bitcoind)
        with contextlib.ExitStack() as each_of_them:
            for one in everything:
                each_of_them.callback(one.stop)
            for one in everything:
                one.program.ask_to_end()
