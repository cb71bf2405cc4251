"""The demo's report: figures read from outside the pool where they can be, beside what its books say."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from payouts.money import SAT_PER_BTC, Msat, Sat, to_msat
from pool.demo.scene import Scene, sluice

WALLET = "sluice"


def _msat(amount_btc: object) -> Msat:
    return to_msat(Sat(int(Decimal(str(amount_btc)) * SAT_PER_BTC)))


def outside_assets(scene: Scene) -> dict[str, Msat]:
    """What bitcoind's wallet and the Lightning node report, per ledger asset."""
    mine = scene.rig.bitcoind.rpc("getbalances", wallet=WALLET)["mine"]
    return {
        "assets:immature": _msat(mine["immature"]),
        "assets:hot": Msat(_msat(mine["trusted"]) + _msat(mine["untrusted_pending"])),
        "assets:lightning": lightning_msat(scene),
    }


def lightning_msat(scene: Scene) -> Msat:
    """Our side of the pool node's channels, as it reports it."""
    channels = scene.rig.pool.rpc("list_channels")
    return Msat(sum(_channel_msat(channel) for channel in channels))


def _channel_msat(channel: dict[str, Any]) -> int:
    amount = Decimal(str(channel["local_balance"])) * 1000
    return int(amount)


def ledger(scene: Scene) -> dict[str, Any]:
    """The books at this moment, verified, and beside them what the nodes report."""
    verdict = sluice(scene, "ledger", "verify")
    balances = {name: int(amount) for name, amount in sluice(scene, "ledger", "balances").items()}
    outside = outside_assets(scene)
    inside = {name: Msat(balances.get(name, 0)) for name in outside}

    def total(kind: str) -> int:
        return sum(amount for name, amount in balances.items() if name.startswith(kind))

    assets, liabilities = total("assets:"), -total("liabilities:")
    equity = -sum(total(kind) for kind in ("equity:", "income:", "expense:"))
    return {
        "balanced": bool(verdict["ok"]) and assets == liabilities + equity and inside == outside,
        "assets_msat": assets,
        "liabilities_msat": liabilities,
        "equity_msat": equity,
        "verified": verdict["ok"],
        "assets_in_the_books_msat": inside,
        "assets_outside_msat": outside,
    }


def onchain(scene: Scene, txid: str, address: str) -> dict[str, Any]:
    """A batch as the node's own transaction shows it."""
    known = scene.rig.bitcoind.rpc("gettransaction", txid, wallet=WALLET)
    outputs = scene.rig.bitcoind.rpc("getrawtransaction", txid, 1)["vout"]
    paid = sum(
        int(Decimal(str(output["value"])) * SAT_PER_BTC)
        for output in outputs
        if output["scriptPubKey"].get("address") == address
    )
    return {
        "txid": txid,
        "amount_sat": paid,
        "fee_sat": int(-Decimal(str(known["fee"])) * SAT_PER_BTC),
        "confirmations": int(known["confirmations"]),
    }
