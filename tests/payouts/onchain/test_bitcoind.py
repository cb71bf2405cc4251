"""The node's wallet as the payer sees it, on a stand-in that answers as Bitcoin Core does."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from payouts.errors import NodeUnavailable, RpcRefused
from payouts.money import SAT_PER_BTC, Sat
from payouts.onchain.bitcoind import BitcoindWallet, to_btc, to_sat
from payouts.onchain.wallet import Draft, NotEnough, TxOutput
from payouts.values import Output
from tests.contracts.book import ADDRESS_A
from tests.payouts.fakes import result_of

TXID, COIN = "aa" * 32, "cc" * 32


class Node:
    """Answers by method name; an answer may be an exception or a function of the arguments."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.calls: list[tuple[Any, ...]] = []

    async def __call__(self, method: str, *args: Any) -> Any:
        self.calls.append((method, *args))
        answer = self.answers[method]
        if isinstance(answer, Exception):
            raise answer
        return answer(*args) if isinstance(answer, Callable) else answer  # type: ignore[arg-type]


def funding(**changes: Any) -> Node:
    return Node(
        **{
            "walletcreatefundedpsbt": {"psbt": "p0", "fee": Decimal("0.00000500"), "changepos": 1},
            "walletprocesspsbt": {"psbt": "p1", "complete": True},
            "finalizepsbt": {"hex": "02ab", "complete": True},
            "decoderawtransaction": {
                "txid": TXID,
                "vsize": 141,
                "vin": [{"txid": COIN, "vout": 3}],
                "vout": [
                    {"value": Decimal("0.10000001"), "scriptPubKey": {"address": ADDRESS_A}},
                    {"value": Decimal("0.89999499"), "scriptPubKey": {"address": "bcrt1qours"}},
                ],
            },
            "getaddressinfo": lambda address: {"ismine": address == "bcrt1qours"},
            "gettxout": {"value": Decimal("1.00000000")},
            **changes,
        }
    )


PAY = [Output("x", ADDRESS_A, Sat(10_000_001))]


def test_it_funds_signs_and_reads_back_what_it_made() -> None:
    node = funding()
    draft = result_of(BitcoindWallet(node).fund_and_sign(PAY, 2500))
    assert draft == Draft(
        txid=TXID,
        raw_tx="02ab",
        inputs=(f"{COIN}:3",),
        outputs=(
            TxOutput(ADDRESS_A, Sat(10_000_001), ours=False),
            TxOutput("bcrt1qours", Sat(89_999_499), ours=True),
        ),
        fee=Sat(500),
        vsize=141,
    )
    method, inputs, outputs, locktime, options = node.calls[0]
    assert (method, inputs, locktime) == ("walletcreatefundedpsbt", [], 0)
    assert outputs == [{ADDRESS_A: "0.10000001"}]
    assert options["fee_rate"] == "2.500"
    assert options["lockUnspents"] is True


def test_insufficient_funds_is_a_matter_of_waiting() -> None:
    node = funding(walletcreatefundedpsbt=RpcRefused(-4, "Insufficient funds"))
    assert isinstance(result_of(BitcoindWallet(node).fund_and_sign(PAY, 1000)), NotEnough)


@pytest.mark.parametrize(
    "wrong",
    [
        {"walletcreatefundedpsbt": RpcRefused(-5, "Invalid Bitcoin address")},
        {"finalizepsbt": {"psbt": "p1", "complete": False}},
        {"gettxout": {"value": Decimal("1.00000001")}},
        {"gettxout": None},
    ],
)
def test_anything_unexpected_is_no_batch(wrong: dict[str, Any]) -> None:
    with pytest.raises(NodeUnavailable):
        result_of(BitcoindWallet(funding(**wrong)).fund_and_sign(PAY, 1000))


def test_locks_are_set_and_released_to_what_is_wanted() -> None:
    node = Node(listlockunspent=[{"txid": "11" * 32, "vout": 0}], lockunspent=True)
    result_of(BitcoindWallet(node).lock_exactly([f"{COIN}:3"]))
    assert node.calls[1:] == [
        ("lockunspent", True, [{"txid": "11" * 32, "vout": 0}]),
        ("lockunspent", False, [{"txid": COIN, "vout": 3}]),
    ]


def test_a_coin_that_is_spent_needs_no_lock() -> None:
    node = Node(listlockunspent=[], lockunspent=RpcRefused(-8, "Invalid parameter, expected unspent output"))
    result_of(BitcoindWallet(node).lock_exactly([f"{COIN}:3"]))
    assert len(node.calls) == 2


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        ({"allowed": True}, None),
        ({"allowed": False, "reject-reason": "min relay fee not met"}, "min relay fee not met"),
        ({"allowed": False, "reject-reason": "txn-already-in-mempool"}, None),
        ({"allowed": False, "reject-reason": "txn-already-known"}, None),
    ],
)
def test_what_the_mempool_has_already_is_accepted(verdict: dict[str, Any], expected: str | None) -> None:
    assert result_of(BitcoindWallet(Node(testmempoolaccept=[verdict])).test_accept("02")) == expected


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (TXID, None),
        (RpcRefused(-27, "Transaction outputs already in utxo set"), None),
        (RpcRefused(-26, "min relay fee not met"), "min relay fee not met"),
        (RpcRefused(-25, "bad-txns-inputs-missingorspent"), "bad-txns-inputs-missingorspent"),
    ],
)
def test_broadcasting_again_is_harmless(answer: object, expected: str | None) -> None:
    assert result_of(BitcoindWallet(Node(sendrawtransaction=answer)).broadcast("02")) == expected


def test_a_node_that_refuses_to_broadcast_for_another_reason_is_no_answer() -> None:
    with pytest.raises(NodeUnavailable):
        result_of(BitcoindWallet(Node(sendrawtransaction=RpcRefused(-28, "Loading"))).broadcast("02"))


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"confirmations": 4}, 4),
        ({"confirmations": -2}, -2),
        (RpcRefused(-5, "Invalid or non-wallet transaction id"), None),
    ],
)
def test_depth_is_told_or_the_transaction_is_not_known(answer: object, expected: int | None) -> None:
    assert result_of(BitcoindWallet(Node(gettransaction=answer)).confirmations(TXID)) == expected


def test_a_loading_wallet_says_nothing_about_depth() -> None:
    with pytest.raises(NodeUnavailable):
        result_of(BitcoindWallet(Node(gettransaction=RpcRefused(-28, "Loading"))).confirmations(TXID))


@pytest.mark.parametrize(
    ("estimate", "expected"), [({"feerate": Decimal("0.00012345")}, 12_345), ({"errors": ["x"]}, 2000)]
)
def test_the_nodes_estimate_becomes_a_rate(estimate: dict[str, Any], expected: int) -> None:
    assert result_of(BitcoindWallet(Node(estimatesmartfee=estimate)).fee_rate()) == expected


@pytest.mark.parametrize("sat", [0, 1, 99_999_999, 100_000_000, 21_000_000 * SAT_PER_BTC - 1])
def test_amounts_go_to_the_node_and_back_exactly(sat: int) -> None:
    assert to_sat(Decimal(to_btc(Sat(sat)))) == sat


@pytest.mark.parametrize("wrong", [0.1, "1", None, True, Decimal("0.000000001")])
def test_an_amount_that_is_not_exact_is_refused(wrong: object) -> None:
    with pytest.raises(NodeUnavailable):
        to_sat(wrong)
