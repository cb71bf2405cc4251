"""The demo's acts: mine, mature, withdraw over Lightning, be paid on-chain, compare books and nodes."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable
from html import unescape
from typing import Any, Final, Protocol
from urllib.parse import urlencode

import attrs

from payouts.money import MSAT_PER_SAT
from pool.demo import report, scene
from pool.demo.scene import MATURITY, Scene
from pool.regtest.errors import NotReady, RigError
from pool.regtest.processes import Program, wait_until
from pool.regtest.qr import read_svg
from pool.regtest.rig import BANK
from pool.regtest.wallet import Withdrawal, received_msat, withdraw

BLOCKS_BEFORE_PAY: Final = 12
PACE: Final = 0.5
"""Shares a second for each of two miners: Lightning here keeps up with one block a second, not with four."""
WITHDRAW_SAT: Final = 25_000


class Narrator(Protocol):
    """Where progress is told."""

    def __call__(self, line: str) -> None:
        """Tell one line."""
        ...


@attrs.define
class Cast:
    """Who plays: the pool's process, the miners, their accounts and the claim link."""

    pool: Program
    username: str
    claim_link: str
    address: str
    miners: list[Program] = attrs.Factory(list)
    shares_accepted: int = 0


def open_books(stage: Scene) -> None:
    """Book what the Lightning node has at the start as the operator's deposit: every satoshi has an entry."""
    amount = report.lightning_msat(stage)
    sats = f"{amount // MSAT_PER_SAT}.{amount % MSAT_PER_SAT:03d}"
    scene.sluice_text(stage, "ledger", "deposit", "--asset", "lightning", "--reference", "opening", sats)


def sign_up(stage: Scene, pool: Program) -> Cast:
    """Make a pool account on the site, as a miner would, and take a plain address for the other one.

    Raises:
        RigError: the site showed no account.
    """
    page = unescape(scene.fetch(stage, "/start", form=urlencode({}).encode()))
    name = re.search(r"\bm-[2-9a-z]{8}\b", page)
    link = re.search(r"https://[^\s\"'<]+/a/[\w-]+", page)
    if name is None or link is None:
        raise RigError("the site's /start made no account")
    address = str(stage.rig.bitcoind.rpc("getnewaddress", "miner", "bech32", wallet=BANK))
    return Cast(pool, name.group(), link.group(), address)


def start_mining(stage: Scene, cast: Cast, pace: float) -> None:
    """Two CPU miners: one for the pool account, one for the address."""
    cast.miners = [scene.start_miner(stage, f"{cast.username}.bitaxe", pace)]
    time.sleep(0.5 / pace)  # out of step with each other, or half of their blocks would be orphans
    cast.miners.append(scene.start_miner(stage, f"{cast.address}.s9", pace))


def stop_mining(cast: Cast) -> None:
    """Let the miners go; how many shares were accepted is what they counted themselves."""
    for miner in cast.miners:
        miner.stop()
        counts = re.findall(r"accepted (\d+)", miner.log.read_text(encoding="utf-8"))
        cast.shares_accepted += int(counts[-1]) if counts else 0
    cast.miners = []


def wait(stage: Scene, cast: Cast, what: str, probe: Callable[[], object], deadline_s: float) -> None:
    """Wait for something that the pool should bring about; the pool's end is an error at once."""

    def quiet() -> object:
        with contextlib.suppress(ValueError):
            return probe()
        return False

    wait_until(what, quiet, deadline_s, [cast.pool, *cast.miners])


def figures(stage: Scene) -> dict[str, Any]:
    """``sluice status --json``."""
    found: dict[str, Any] = scene.sluice(stage, "status")
    return found


def mature(stage: Scene, cast: Cast, tell: Narrator) -> None:
    """A burst of blocks by the bank, with no payment in flight, until every reward can be paid."""
    height = stage.rig.bitcoind.rpc("getblockcount")
    stage.rig.mine(MATURITY)
    tell(f"mined {MATURITY} blocks on top of height {height}: every reward matures")
    wait(
        stage,
        cast,
        "every block of the pool is mature in the books",
        lambda: set(figures(stage)["blocks"]) and not _unsettled(figures(stage)["blocks"]),
        60.0,
    )
    wait(
        stage,
        cast,
        "the Lightning nodes have followed the burst",
        lambda: all(
            node.synchronized(stage.rig.bitcoind.rpc("getblockcount")) and node.usable()
            for node in (stage.rig.pool, stage.rig.wallet)
        ),
        60.0,
    )


def _unsettled(blocks: dict[str, int]) -> int:
    return blocks.get("submitted", 0) + blocks.get("immature", 0)


def withdraw_once(stage: Scene, cast: Cast, tell: Narrator) -> dict[str, Any]:
    """The miner's wallet scans the QR code of the account page and is paid over Lightning."""
    codes = read_svg(scene.fetch(stage, cast.claim_link))
    if len(codes) != 1:
        raise RigError("the account page shows no QR code that can be read")
    done = withdraw(stage.rig.wallet, codes[0], stage.ca, WITHDRAW_SAT)
    tell(f"the pool accepted the wallet's invoice of {WITHDRAW_SAT} sat; waiting for the payment")
    wait(
        stage,
        cast,
        "the wallet has been paid",
        lambda: received_msat(stage.rig.wallet, done.payment_hash) and _payment_settled(stage, done),
        60.0,
    )
    sent = next(
        entry
        for entry in stage.rig.pool.rpc("lightning_history")
        if entry["payment_hash"] == done.payment_hash
    )
    return {
        "amount_msat": done.amount_msat,
        "fee_msat": int(sent.get("fee_msat") or 0),
        "payment_hash": done.payment_hash,
        "preimage": stage.rig.wallet.rpc("export_lightning_preimage", payment_hash=done.payment_hash),
        "wallet_received_msat": received_msat(stage.rig.wallet, done.payment_hash),
    }


def _payment_settled(stage: Scene, done: Withdrawal) -> bool:
    payments = scene.sluice(stage, "payouts", "list", "--state", "settled")
    return any(payment["reference"] == done.payment_hash for payment in payments)


def pay_onchain(stage: Scene, cast: Cast, tell: Narrator) -> dict[str, Any]:
    """The address account is paid by a batch; the bank's blocks confirm it."""

    def batches(state: str | None = None) -> list[dict[str, Any]]:
        arguments = ["--state", state] if state else []
        listed = scene.sluice(stage, "payouts", "list", *arguments)
        return [payment for payment in listed if payment["number"].startswith("B")]

    wait(
        stage,
        cast,
        "an on-chain batch is in the mempool",
        lambda: stage.rig.bitcoind.rpc("getrawmempool"),
        60.0,
    )
    tell("the batch is in the mempool; mining its confirmations")
    end_s = time.monotonic() + 90.0  # noqa: TID251 -- the demo paces real programs
    while not batches("settled"):
        if time.monotonic() > end_s:  # noqa: TID251 -- as above
            raise NotReady("the on-chain batch is not settled within 90 s")
        stage.rig.mine(1)
        time.sleep(1.0)
    batch = batches("settled")[-1]
    return report.onchain(stage, batch["reference"], cast.address)


def at_rest(stage: Scene, cast: Cast) -> dict[str, Any]:
    """The books when nothing moves: no open payment, the book at the chain's tip."""
    latest: dict[str, Any] = {}

    def settled() -> bool:
        latest.update(report.ledger(stage))
        return bool(latest["balanced"])

    # what is not balanced after this long is reported as it is
    with contextlib.suppress(NotReady):
        wait(stage, cast, "books and nodes agree", settled, 30.0)
    return latest
