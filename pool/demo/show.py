"""The demo from curtain to curtain: progress while things start, the acts, a live line, and a clean end."""

from __future__ import annotations

import json
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final, NoReturn

from rich.console import Console

from payouts.money import MSAT_PER_SAT, Msat, floor_sat
from pool.demo import proving, scene, story
from pool.errors import ConfigError
from pool.regtest.fetch import cache_directory, tools
from pool.regtest.rig import Rig
from pool.web import words

LIVE_PACE: Final = 0.1
LIVE_BURST_S: Final = 60.0
LIVE_LINE_S: Final = 2.0


def run(*, once: bool, json_path: Path | None, directory: Path | None) -> bool:
    """Play; answers whether everything was right.

    Args:
        once: end after the withdrawal and the batch, instead of at Ctrl-C.
        json_path: where the report goes.
        directory: an empty place to keep, or None for one that is removed.

    Raises:
        PoolError: something did not start or did not happen; the text says what.
    """
    console = Console(highlight=False, soft_wrap=True)
    began_s = time.monotonic()  # noqa: TID251 -- the demo paces real programs

    def tell(line: str) -> None:
        elapsed_s = time.monotonic() - began_s  # noqa: TID251 -- as above
        console.print(f"[dim]{elapsed_s:6.1f} s[/dim]  {line}")

    # SIGTERM ends the demo as Ctrl-C does: whatever was started is stopped
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        with _place(directory) as place, ExitStack() as curtain:
            stage, cast = _set_up(place, curtain, tell)
            result = _play(stage, cast, tell)
            result["seconds"] = round(time.monotonic() - began_s, 1)  # noqa: TID251 -- as above
            if json_path is not None:
                json_path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
            tell("everything is right" if result["ok"] else "[bold red]something is NOT right[/bold red]")
            if not once:
                _live(stage, cast, console)
            return bool(result["ok"])
    except KeyboardInterrupt:
        tell("stopped")
        return True


def _interrupt(*_: object) -> NoReturn:
    # not by way of SIGINT, which is ignored in what a shell script runs in the background
    raise KeyboardInterrupt


@contextmanager
def _place(directory: Path | None) -> Iterator[Path]:
    if directory is None:
        with tempfile.TemporaryDirectory(prefix="sluice-demo-", ignore_cleanup_errors=True) as temporary:
            yield Path(temporary)
        return
    directory.mkdir(parents=True, exist_ok=True)
    if any(directory.iterdir()):
        raise ConfigError(f"{directory} is not empty: the demo starts from nothing")
    yield directory.resolve()


def _set_up(place: Path, curtain: ExitStack, tell: story.Narrator) -> tuple[scene.Scene, story.Cast]:
    """Start nodes, pool and miners; tell where to look."""
    rig = curtain.enter_context(Rig(place / "rig", tools(cache_directory(), tell), tell))
    stage = scene.build(rig, place / "pool")
    story.open_books(stage)
    tell("starting the pool")
    pool = scene.start_pool(stage)
    curtain.callback(pool.stop)
    cast = story.sign_up(stage, pool)
    tell(f"site      {stage.site}   (its test CA: {stage.ca})")
    tell(f"account   {cast.claim_link}")
    tell(f"address   {stage.site}/u/{cast.address}")
    tell(f"miners    {stage.stratum}   as {cast.username} or any regtest address")
    tell(f"metrics   {stage.site}/metrics")
    curtain.callback(story.stop_mining, cast)
    return stage, cast


def _play(stage: scene.Scene, cast: story.Cast, tell: story.Narrator) -> dict[str, Any]:
    """Mine, mature, withdraw, batch, compare; answers the report."""
    story.start_mining(stage, cast, story.PACE)
    tell("two CPU miners at work, one block a second at the most")
    story.wait(
        stage, cast, "the pool has found some blocks", lambda: _found(stage) >= story.BLOCKS_BEFORE_PAY, 90.0
    )
    story.stop_mining(cast)
    story.mature(stage, cast, tell)
    lightning = story.withdraw_once(stage, cast, tell)
    tell(f"paid over Lightning: {words.sat(lightning['wallet_received_msat'])} sat reached the wallet")
    proof = proving.prove(stage, cast.username, cast.claim_link)
    tell(
        f"proven with the block alone: {proof['claims_proven']} claims about {cast.username}'s newest reward"
    )
    onchain = story.pay_onchain(stage, cast, tell)
    tell(f"paid on-chain: {onchain['amount_sat']:,} sat in {onchain['txid']}")
    return _report(stage, cast, lightning, onchain, proof)


def _found(stage: scene.Scene) -> int:
    return sum(story.figures(stage)["blocks"].values())


def _report(
    stage: scene.Scene,
    cast: story.Cast,
    lightning: dict[str, Any],
    onchain: dict[str, Any],
    proof: dict[str, Any],
) -> dict[str, Any]:
    """The document that ``--json`` writes; ok is judged by what wallet and node say."""
    books = story.at_rest(stage, cast)
    ok = (
        lightning["wallet_received_msat"] == lightning["amount_msat"] > 0
        and onchain["amount_sat"] > 0
        and onchain["confirmations"] >= scene.BATCH_CONFIRMATIONS
        and proof["ok"]
        and books["balanced"]
    )
    return {
        "ok": bool(ok),
        "seconds": 0.0,
        "shares_accepted": cast.shares_accepted,
        "blocks_found": _found(stage),
        "lightning": lightning,
        "onchain": onchain,
        "proof": proof,
        "ledger": books,
    }


def _live(stage: scene.Scene, cast: story.Cast, console: Console) -> None:
    """Go on mining, slowly, with a line of figures, until Ctrl-C; rewards mature by a burst now and then."""
    story.start_mining(stage, cast, LIVE_PACE)
    console.print(
        "\nThe pool goes on: open the account's page above, or try `sluice status --config "
        f"{stage.config}` beside it.\nCtrl-C ends everything."
    )
    burst_s = time.monotonic() + LIVE_BURST_S  # noqa: TID251 -- the demo paces real programs
    with console.status("") as line:
        while True:
            known = story.figures(stage)
            line.update(_line(known, max(0.0, burst_s - time.monotonic())))  # noqa: TID251 -- as above
            if time.monotonic() >= burst_s and not _in_flight(known):  # noqa: TID251 -- as above
                stage.rig.mine(scene.MATURITY)
                burst_s = time.monotonic() + LIVE_BURST_S  # noqa: TID251 -- as above
            time.sleep(LIVE_LINE_S)


def _in_flight(known: dict[str, Any]) -> bool:
    states = ("lightning reserved", "lightning sending", "lightning unknown")
    return any(known["payments"].get(state) for state in states)


def _line(known: dict[str, Any], burst_in_s: float) -> str:
    """Figures of ``sluice status`` that fit a terminal of 80 columns."""
    blocks = known["blocks"]
    paid = sum(known["payments"].get(state, 0) for state in ("lightning settled", "onchain settled"))
    owed = words.sat(floor_sat(Msat(int(known["owed_msat"]))) * MSAT_PER_SAT)
    return (
        f"{sum(blocks.values())} blocks ({blocks.get('mature', 0)} mature, more in {burst_in_s:.0f} s)"
        f" · owed {owed} sat · {paid} payments"
    )
