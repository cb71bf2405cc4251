"""Bitcoin Core's (or Knots') descriptor wallet as the wallet that batches leave from."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from payouts.errors import NodeUnavailable, RpcRefused
from payouts.money import MSAT_PER_SAT, SAT_PER_BTC, Sat
from payouts.onchain.wallet import Draft, NotEnough, TxOutput
from payouts.values import Output

Call = Callable[..., Awaitable[Any]]
"""A JSON-RPC call to the wallet: ``await call(method, *args)``; raises RpcRefused or NodeUnavailable."""

_WALLET_ERROR: Final = -4  # among others: insufficient funds, as walletcreatefundedpsbt says it
_INSUFFICIENT: Final = -6
_UNKNOWN_TX: Final = -5
_REFUSED_TX: Final = frozenset({-25, -26})
_ALREADY_CONFIRMED: Final = -27
_HAS_IT: Final = frozenset(
    {"txn-already-in-mempool", "txn-already-known", "txn-same-nonwitness-data-in-mempool"}
)
_TARGET_BLOCKS: Final = 6
_FALLBACK_RATE: Final = 2000  # msat/vB, where the node has seen too little to estimate: a young regtest


def to_sat(amount: object) -> Sat:
    """A BTC amount of the node's JSON (Decimal, or int for whole ones) as satoshi, exactly.

    Raises:
        NodeUnavailable: it is no amount, or no whole number of satoshis.
    """
    if not isinstance(amount, Decimal | int) or isinstance(amount, bool):
        raise NodeUnavailable("the node told an amount that is no number")
    sats = Decimal(amount) * SAT_PER_BTC
    if sats != sats.to_integral_value():
        raise NodeUnavailable("the node told an amount of fractional satoshis")
    return Sat(int(sats))


def to_btc(amount: Sat) -> str:
    """Satoshi as the node takes it: a string with eight places, since a Decimal would be sent as a float."""
    whole, rest = divmod(amount, SAT_PER_BTC)
    return f"{whole}.{rest:08d}"


class BitcoindWallet:
    """A Wallet (see payouts.onchain.wallet) over the node's JSON-RPC.

    Args:
        call: asks the wallet; the pool passes its own.
    """

    def __init__(self, call: Call) -> None:
        self._rpc = call

    async def lock_exactly(self, inputs: Sequence[str]) -> None:
        """See Wallet."""
        locked = {f"{coin['txid']}:{coin['vout']}" for coin in await self._ask("listlockunspent")}
        wanted = set(inputs)
        if locked - wanted:
            await self._ask("lockunspent", True, [_outpoint(i) for i in sorted(locked - wanted)])  # noqa: FBT003
        for missing in sorted(wanted - locked):
            try:
                await self._rpc("lockunspent", False, [_outpoint(missing)])  # noqa: FBT003
            except RpcRefused:
                continue  # spent, by the batch itself: there is nothing left to lock

    async def fund_and_sign(self, outputs: Sequence[Output], fee_rate_msat_vb: int) -> Draft | NotEnough:
        """See Wallet: an explicit fee rate, coins locked, replaceable (BIP 125), change our own."""
        pay = [{output.address: to_btc(output.amount)} for output in outputs]
        options = {
            "fee_rate": _rate(fee_rate_msat_vb),
            "lockUnspents": True,
            "replaceable": True,
            "add_inputs": True,
        }
        try:
            funded = await self._rpc("walletcreatefundedpsbt", [], pay, 0, options)
        except RpcRefused as refused:
            if refused.code in (_WALLET_ERROR, _INSUFFICIENT) and "nsufficient" in refused.message:
                return NotEnough("the wallet's spendable balance is too small")
            raise NodeUnavailable(f"the wallet refused to fund a batch: {refused}") from None
        signed = await self._ask("walletprocesspsbt", funded["psbt"])
        final = await self._ask("finalizepsbt", signed["psbt"])
        if not final.get("complete"):
            raise NodeUnavailable("the wallet could not sign all of a batch: is it locked or watch-only?")
        return await self._draft(final["hex"], to_sat(funded["fee"]))

    async def fee_rate(self) -> int:
        """See Wallet."""
        estimate = await self._ask("estimatesmartfee", _TARGET_BLOCKS)
        if "feerate" not in estimate:
            return _FALLBACK_RATE
        return to_sat(estimate["feerate"])  # BTC per 1000 vB is msat per vB, after 10^8

    async def _draft(self, raw_tx: str, fee: Sat) -> Draft:
        """What the final bytes really pay, as the node decodes them; the fee is checked against the coins."""
        decoded = await self._ask("decoderawtransaction", raw_tx)
        outputs = [await self._output(output) for output in decoded["vout"]]
        spent = [await self._spent(coin) for coin in decoded["vin"]]
        if sum(spent) - sum(output.amount for output in outputs) != fee:
            raise NodeUnavailable("the wallet told another fee than its transaction pays")
        return Draft(
            txid=decoded["txid"],
            raw_tx=raw_tx,
            inputs=tuple(f"{coin['txid']}:{coin['vout']}" for coin in decoded["vin"]),
            outputs=tuple(outputs),
            fee=fee,
            vsize=decoded["vsize"],
        )

    async def _output(self, output: Mapping[str, Any]) -> TxOutput:
        address = output["scriptPubKey"].get("address", "")
        info = await self._ask("getaddressinfo", address) if address else {}
        return TxOutput(address, to_sat(output["value"]), ours=bool(info.get("ismine")))

    async def _spent(self, coin: Mapping[str, Any]) -> Sat:
        found = await self._ask("gettxout", coin["txid"], coin["vout"])
        if not found:
            raise NodeUnavailable("the wallet chose a coin that does not exist")
        return to_sat(found["value"])

    async def test_accept(self, raw_tx: str) -> str | None:
        """See Wallet."""
        (verdict,) = await self._ask("testmempoolaccept", [raw_tx])
        reason = str(verdict.get("reject-reason", "no reason given"))
        return None if verdict["allowed"] or reason in _HAS_IT else reason

    async def broadcast(self, raw_tx: str) -> str | None:
        """See Wallet."""
        try:
            await self._rpc("sendrawtransaction", raw_tx)
        except RpcRefused as refused:
            if refused.code == _ALREADY_CONFIRMED or refused.message in _HAS_IT:
                return None
            if refused.code in _REFUSED_TX:
                return refused.message
            raise NodeUnavailable(f"the node refused sendrawtransaction: {refused}") from None
        return None

    async def confirmations(self, txid: str) -> int | None:
        """See Wallet."""
        try:
            found = await self._rpc("gettransaction", txid)
        except RpcRefused as refused:
            if refused.code == _UNKNOWN_TX:
                return None
            raise NodeUnavailable(f"the wallet refused gettransaction: {refused}") from None
        depth = found["confirmations"]
        if not isinstance(depth, int):
            raise NodeUnavailable("the wallet told a depth that is no number")
        return depth

    async def _ask(self, method: str, *args: object) -> Any:
        """A call that the node has no business refusing."""
        try:
            return await self._rpc(method, *args)
        except RpcRefused as refused:
            raise NodeUnavailable(f"the node refused {method}: {refused}") from None


def _outpoint(text: str) -> dict[str, object]:
    txid, _, vout = text.partition(":")
    return {"txid": txid, "vout": int(vout)}


def _rate(fee_rate_msat_vb: int) -> str:
    """A fee rate in sat/vB with the three places that the node allows."""
    whole, rest = divmod(fee_rate_msat_vb, MSAT_PER_SAT)
    return f"{whole}.{rest:03d}"
