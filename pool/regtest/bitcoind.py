"""A real bitcoind on regtest with one RPC user per role, each with that role's calls and no others."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from attrs import frozen

from pool.regtest.errors import RpcError
from pool.regtest.fetch import Tools
from pool.regtest.processes import Program, free_ports
from pool.regtest.rpc import Endpoint, Login, call

ADMIN = "admin"

_CHAIN = ["getbestblockhash", "getblockchaininfo", "getblockcount", "getblockhash", "getblockheader"]

WHITELISTS: dict[str, list[str]] = {
    "front": [
        *_CHAIN,
        "getblock",
        "getblocktemplate",
        "getnetworkinfo",
        "getzmqnotifications",
        "submitblock",
        "validateaddress",
    ],
    "book": [*_CHAIN, "getblock", "getblockstats", "getnetworkinfo"],
    "payer": [
        *_CHAIN,
        "abandontransaction",
        "createwallet",
        "decodepsbt",
        "decoderawtransaction",
        "estimatesmartfee",
        "finalizepsbt",
        "getaddressesbylabel",
        "getaddressinfo",
        "getbalances",
        "getmempoolentry",
        "getnetworkinfo",
        "getnewaddress",
        "getrawtransaction",
        "gettransaction",
        "gettxout",
        "listlockunspent",
        "listunspent",
        "listwalletdir",
        "listwallets",
        "loadwallet",
        "lockunspent",
        "sendrawtransaction",
        "testmempoolaccept",
        "validateaddress",
        "walletcreatefundedpsbt",
        "walletprocesspsbt",
    ],
}
"""What each role's user may call; anything else answers HTTP 403."""


@frozen
class Ports:
    """The loopback ports of one bitcoind."""

    rpc: int
    p2p: int
    zmq_block: int
    zmq_tx: int


class Bitcoind:
    """One bitcoind; its ports, users and chain stay the same over stops, kills and starts."""

    def __init__(self, tools: Tools, directory: Path, chain: str = "regtest", *options: str) -> None:
        """Write its configuration; nothing runs yet.

        Args:
            tools: where the program is.
            directory: of its own.
            chain: ``regtest`` or ``signet``.
            options: further lines of bitcoin.conf for that chain.
        """
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.ports = Ports(*free_ports(4))
        self.logins = {name: Login(name, secrets.token_hex(16)) for name in (ADMIN, *WHITELISTS)}
        config = directory / "bitcoin.conf"
        config.write_text(_config(self.ports, self.logins, chain, options), encoding="utf-8")
        config.chmod(0o600)
        self.program = Program(
            "bitcoind",
            [*tools.bitcoind, f"-datadir={directory}", "-printtoconsole=1", "-nodebuglogfile"],
            directory / "bitcoind.log",
            directory=directory,
        )

    @property
    def url(self) -> str:
        """Where its RPC listens, without a login."""
        return f"http://127.0.0.1:{self.ports.rpc}"

    @property
    def zmq_block_url(self) -> str:
        """Where it publishes the hash of each new block."""
        return f"tcp://127.0.0.1:{self.ports.zmq_block}"

    def start(self) -> None:
        """Start it and wait until it answers.

        Raises:
            NotReady: it ended or was not there in time.
        """
        self.program.start()
        self.program.wait_until("bitcoind answers", lambda: self.rpc("getblockcount") >= 0)

    def connect(self, other: Bitcoind) -> None:
        """Have the two exchange blocks and transactions; returns when they are connected."""
        self.rpc("addnode", f"127.0.0.1:{other.ports.p2p}", "onetry")
        self.program.wait_until("a peer is there", lambda: self.rpc("getconnectioncount") > 0)

    def stop(self) -> None:
        """End it cleanly; returns when it is gone."""
        self.program.stop(grace_s=20)

    def kill(self) -> None:
        """SIGKILL it; blocks that `mine` returned are on disk and survive."""
        self.program.kill()

    def rpc(self, method: str, *params: object, wallet: str | None = None, user: str = ADMIN) -> Any:
        """Call as one of the users.

        Raises:
            RpcError: an error answer; `status` 403 when the user may not make this call.
            OSError: it does not listen.
        """
        path = "/" if wallet is None else f"/wallet/{wallet}"
        return call(Endpoint(self.ports.rpc, self.logins[user]), method, params, path)

    def open_wallet(self, name: str) -> None:
        """Have a wallet loaded, made if need be."""
        if name in self.rpc("listwallets"):
            return
        known = [each["name"] for each in self.rpc("listwalletdir")["wallets"]]
        self.rpc("loadwallet" if name in known else "createwallet", name)

    def mine(self, count: int, address: str) -> list[str]:
        """Mine blocks that pay to an address; returns their hashes, oldest first.

        The coins are flushed to disk: without that a SIGKILL soon after loses the chain.
        """
        hashes: list[str] = self.rpc("generatetoaddress", count, address)
        self.rpc("gettxoutsetinfo", "none")
        return hashes

    def may_call(self, user: str, method: str) -> bool:
        """Whether a user's whitelist has a method, asked of the real bitcoind with no arguments."""
        try:
            self.rpc(method, user=user)
        except RpcError as error:
            return error.status != 403
        return True


def _rpcauth(login: Login) -> str:
    salt = secrets.token_hex(16)
    digest = hmac.new(salt.encode(), login.password.encode(), "sha256").hexdigest()
    return f"rpcauth={login.user}:{salt}${digest}\n"


def _config(ports: Ports, logins: dict[str, Login], chain: str, options: Sequence[str]) -> str:
    # Knots makes small templates and legacy addresses unless told otherwise; Core ignores unknown keys.
    lines = [
        f"{chain}=1",
        "server=1",
        "txindex=1",
        "fallbackfee=0.00001",
        "addresstype=bech32",
        "changetype=bech32",
        "blockmaxsize=3990000",
        "blockmaxweight=3990000",
        "rpcwhitelistdefault=0",
        *(f"rpcwhitelist={user}:{','.join(methods)}" for user, methods in WHITELISTS.items()),
        f"[{chain}]",
        f"rpcport={ports.rpc}",
        "rpcbind=127.0.0.1",
        "rpcallowip=127.0.0.1",
        "rpcthreads=8",
        f"bind=127.0.0.1:{ports.p2p}",
        "listenonion=0",
        "dnsseed=0",
        "discover=0",
        f"zmqpubhashblock=tcp://127.0.0.1:{ports.zmq_block}",
        f"zmqpubrawtx=tcp://127.0.0.1:{ports.zmq_tx}",
        *options,
    ]
    return "".join(_rpcauth(login) for login in logins.values()) + "\n".join(lines) + "\n"
