"""An Electrum server, and Electrum daemons that are Lightning nodes and wallets on regtest."""

from __future__ import annotations

import contextlib
import json
import secrets
from decimal import Decimal
from pathlib import Path
from typing import Any

from pool.regtest import launch
from pool.regtest.bitcoind import ADMIN, Bitcoind
from pool.regtest.errors import RpcError
from pool.regtest.fetch import Tools
from pool.regtest.processes import Program, free_ports, listens
from pool.regtest.rpc import Endpoint, Login, call

_SAT_PER_BTC = 100_000_000


def btc(amount_sat: int) -> str:
    """Write satoshis the way Electrum's commands want amounts: bitcoins with eight places."""
    whole, rest = divmod(amount_sat, _SAT_PER_BTC)
    return f"{whole}.{rest:08d}"


def sat(amount_btc: str | Decimal) -> int:
    """Read one of Electrum's amounts, exactly."""
    return int(Decimal(amount_btc) * _SAT_PER_BTC)


class ElectrumX:
    """The server that Electrum asks about the chain; its index is made anew at each start."""

    def __init__(self, tools: Tools, directory: Path, bitcoind: Bitcoind) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.port, rpc_port = free_ports(2)
        login = bitcoind.logins[ADMIN]
        self.program = Program(
            "electrumx",
            [*tools.electrumx_python, launch.__file__, "electrumx.server.transport", "0", tools.electrumx],
            directory / "electrumx.log",
            directory=directory,
            environment={
                "COIN": "Bitcoin",
                "NET": "regtest",
                "DB_ENGINE": "leveldb",
                "DB_DIRECTORY": str(directory),
                "CACHE_MB": "50",
                "DAEMON_URL": f"http://{login.user}:{login.password}@127.0.0.1:{bitcoind.ports.rpc}/",
                "SERVICES": f"tcp://127.0.0.1:{self.port},rpc://127.0.0.1:{rpc_port}",
                "ALLOW_ROOT": "1",
                "PEER_DISCOVERY": "off",
                "PEER_ANNOUNCE": "",
                "COST_SOFT_LIMIT": "0",
                "COST_HARD_LIMIT": "0",
                "DAEMON_POLL_INTERVAL_BLOCKS": "50",
                "DAEMON_POLL_INTERVAL_MEMPOOL": "50",
            },
        )

    def start(self) -> None:
        """Start it and wait until wallets can connect; bitcoind must have a recent block.

        Raises:
            NotReady: it ended or was not there in time.
        """
        self.program.start()
        self.program.wait_until("the Electrum server listens", lambda: listens(self.port))

    def stop(self) -> None:
        """End it; returns when it is gone."""
        self.program.stop()


class Electrum:
    """One Electrum daemon with one wallet; its seed, ports and channels stay over stops, kills and starts."""

    def __init__(self, tools: Tools, directory: Path, name: str, server_port: int) -> None:
        self.name = name
        self.tools = tools
        self._directory = directory
        rpc_port, self.lightning_port = free_ports(2)
        self.endpoint = Endpoint(rpc_port, Login(name, secrets.token_hex(16)))
        self.program = Program(
            f"electrum-{name}",
            [*_launcher(tools, server_port), "--regtest", "-D", str(directory), "-v", "daemon"],
            directory / "electrum.log",
            directory=directory,
            environment=tools.electrum_environment,
        )
        self._write_config(server_port)

    def _write_config(self, server_port: int) -> None:
        home = self._directory / "regtest"
        home.mkdir(parents=True, exist_ok=True)
        config = {
            "config_version": 3,  # without it the file counts as old and is rewritten
            "server": f"127.0.0.1:{server_port}:t",
            "oneserver": True,
            "auto_connect": False,
            "rpcsock": "tcp",
            "rpchost": "127.0.0.1",
            "rpcport": self.endpoint.port,
            "rpcuser": self.endpoint.login.user,
            "rpcpassword": self.endpoint.login.password,
            "lightning_listen": f"127.0.0.1:{self.lightning_port}",
            "use_gossip": True,  # without it payments would look for a trampoline
            "fee_policy.default": "feerate:5000",
            "fee_policy.lnwatcher": "feerate:5000",
            "test_disable_automatic_fee_eta_update": True,
            "lightning_to_self_delay": 144,
            "check_updates": False,
            "nostr_relays": "",
            "use_exchange_rate": False,
            "dont_show_testnet_warning": True,
        }
        path = home / "config"
        path.write_text(json.dumps(config, indent=1), encoding="utf-8")
        path.chmod(0o600)

    @property
    def url(self) -> str:
        """Where its JSON-RPC listens, without the login in `endpoint`."""
        return self.endpoint.url

    def start(self) -> None:
        """Start the daemon and open its wallet, which is made the first time.

        The server must be there, or come within a minute.

        Raises:
            NotReady: it ended or was not there in time.
        """
        self.launch()
        self.program.wait_until(f"Electrum {self.name} answers", lambda: self.rpc("getinfo"))
        if not (self._directory / "regtest/wallets/default_wallet").exists():
            self.rpc("create")
        self.rpc("load_wallet")  # a daemon does not do it by itself

    def launch(self) -> None:
        """Let the slow part of a start go on meanwhile; `start` does the rest."""
        self.program.start()

    def stop(self) -> None:
        """End the daemon the way it asks for, which closes its peers and wallet; returns when it is gone."""
        if self.program.running:
            with contextlib.suppress(OSError, RpcError):
                self.rpc("stop", timeout_s=5)
                self.program.join(10)
        self.program.stop()

    def kill(self) -> None:
        """SIGKILL the daemon, as a power cut would."""
        self.program.kill()

    def restart(self) -> None:
        """Stop it if it runs, start it and open its wallet again; channels need a moment more: `usable`."""
        self.stop()
        self.start()

    def rpc(self, method: str, *, timeout_s: float = 60.0, **params: object) -> Any:
        """Call the daemon.

        Raises:
            RpcError: an error answer.
            OSError: it does not listen, or the time is up (a payment may go on).
        """
        return call(self.endpoint, method, params, timeout_s=timeout_s)

    def synchronized(self, height: int) -> bool:
        """Whether the wallet knows the chain up to a height and everything that is its own in it."""
        return bool(self.rpc("getinfo")["blockchain_height"] >= height and self.rpc("is_synchronized"))

    def usable(self) -> bool:
        """Whether it has a channel that payments can go through now."""
        return any(
            channel["state"] == "OPEN" and channel["peer_state"] == "GOOD"
            for channel in self.rpc("list_channels")
        )

    def lightning_sat(self) -> int:
        """What it owns in channels."""
        return sum(int(channel["local_balance"]) for channel in self.rpc("list_channels"))

    def onchain_sat(self) -> int:
        """What it owns on the chain, confirmed or not."""
        balance = self.rpc("getbalance")
        return sum(sat(balance.get(kind, "0")) for kind in ("confirmed", "unconfirmed", "unmatured"))

    def address(self) -> str:
        """An address of the wallet that nobody has used yet."""
        return str(self.rpc("getunusedaddress"))

    def invoice(self, amount_sat: int, memo: str = "", expiry_s: int = 3600) -> str:
        """Ask for a Lightning payment; returns the BOLT11 invoice."""
        request = self.rpc("add_request", amount=btc(amount_sat), memo=memo, expiry=expiry_s, lightning=True)
        return str(request["lightning_invoice"])

    def pay(self, invoice: str, timeout_s: float = 60.0) -> bool:
        """Pay an invoice and say whether it went through; False is not final, as Electrum means it."""
        return bool(self.rpc("lnpay", invoice=invoice, timeout_s=timeout_s)["success"])


def _launcher(tools: Tools, server_port: int) -> list[str]:
    waiting = ["electrum.interface", str(server_port), tools.electrum]
    return [*tools.electrum_python, launch.__file__, *waiting]
