"""The public API's documents: JSON with amounts as strings, since readers break above 2^53."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import attrs
import msgspec

from pool.luck import luck
from pool.rewards.fpps import Rate
from pool.rewards.policy import WINDOWED
from pool.store.activity import Hashrate
from pool.store.figures import Bests, BestShare, BlockRow, PaymentRow, RewardRow
from pool.store.policies import PolicyChange
from pool.web import openapi
from pool.web.miner_ports import MinerPort
from pool.web.pages import AccountFigures, PoolFigures
from pool.web.ports import Facts
from pool.web.terms import Announcement, announcements

_ENCODER: Final = msgspec.json.Encoder()


def pool_document(facts: Facts, figures: PoolFigures) -> bytes:
    """``/api/v1/pool``."""
    stats = figures.stats
    return _ENCODER.encode(
        {
            "name": facts.name,
            "network": facts.network,
            "stratum_url": facts.stratum_url,
            "stratum_ports": [_port(port) for port in facts.ports],
            "scheme": facts.scheme.value,
            "window_blocks": str(facts.window),
            "fee_bps": facts.fee_bps,
            "maturity_confirmations": facts.maturity,
            "credit_confirmations": facts.early,
            "threshold_sat": str(facts.threshold),
            "lightning_minimum_sat": (
                None if facts.lightning_minimum is None else str(facts.lightning_minimum)
            ),
            "hashrate_10min": _hashrate(stats.hashrate),
            "hashrate_1h": _hashrate(stats.hashrate_hour),
            "accounts": stats.accounts,
            "workers": stats.workers,
            "newest_share_ms": stats.newest_share_ms,
            "round_effort": stats.round_effort,
            "best_share": _best(stats.best.ever),
            "best_share_of_round": _best(stats.best.round),
            "best_share_of_round_odds": stats.best_odds,
        }
    )


def blocks_document(blocks: list[BlockRow]) -> bytes:
    """``/api/v1/blocks``: newest first."""
    found = luck(block.effort for block in blocks)
    return _ENCODER.encode(
        {
            "blocks": [_block(block) for block in blocks],
            "luck": None if found is None else attrs.asdict(found),
        }
    )


def terms_document(policies: Sequence[PolicyChange]) -> bytes:
    """``/api/v1/terms``: newest first."""
    return _ENCODER.encode({"terms": [_terms(each) for each in announcements(policies)]})


def rates_document(rates: Sequence[Rate]) -> bytes:
    """``/api/v1/rates``: greatest heights first."""
    return _ENCODER.encode(
        {
            "rates": [
                {
                    "height": rate.height,
                    "fees_msat": str(rate.part),
                    "after": rate.after,
                    "blocks": len(rate.fees),
                }
                for rate in rates
            ]
        }
    )


def account_document(figures: AccountFigures) -> bytes:
    """``/api/v1/account/<address>``."""
    balances = figures.balances
    return _ENCODER.encode(
        {
            "account": figures.account,
            "immature_msat": str(balances.immature),
            "available_msat": str(balances.available),
            "held_msat": str(balances.held),
            "hashrate_10min": _hashrate(figures.hashrate),
            "hashrate_1h": _hashrate(figures.hashrate_hour),
            "best_share": _best(figures.best.ever),
            "best_share_of_round": _best(figures.best.round),
            "workers": [
                {
                    "name": worker.name,
                    "hashrate_10min": _hashrate(worker.hashrate),
                    "last_share_ms": worker.last_share_ms,
                    "silent": worker.silent,
                    "best_share": _best(figures.bests.get(worker.name, Bests()).ever),
                    "best_share_of_round": _best(figures.bests.get(worker.name, Bests()).round),
                }
                for worker in figures.workers
            ],
            "rewards": [_reward(reward) for reward in figures.rewards],
            "payments": [_payment(payment) for payment in figures.payments],
        }
    )


def openapi_document(facts: Facts) -> bytes:
    """``/api/v1/openapi.json``."""
    return _ENCODER.encode(openapi.document(facts.public_url))


def error_document(code: str, message: str) -> bytes:
    """What every refused API call answers."""
    return _ENCODER.encode({"error": {"code": code, "message": message}})


def _port(port: MinerPort) -> dict[str, object]:
    return {
        "url": port.url,
        "tls": port.tls,
        "start_difficulty": f"{port.start_difficulty:f}",
        "minimum_difficulty": f"{port.minimum_difficulty:f}",
        "vardiff": port.vardiff,
        "purpose": port.purpose,
        "terms": port.terms,
    }


def _hashrate(hashrate: Hashrate) -> dict[str, object]:
    return {
        "hps": hashrate.hps,
        "low_hps": hashrate.low_hps,
        "high_hps": hashrate.high_hps,
        "shares": hashrate.shares,
        "span_s": hashrate.span_s,
    }


def _block(block: BlockRow) -> dict[str, object]:
    return {
        "hash": block.hash,
        "height": block.height,
        "finder": block.account,
        "state": block.state,
        "confirmations": block.confirmations,
        "value_msat": None if block.value_msat is None else str(block.value_msat),
        "found_ms": block.found_ms,
        "effort": block.effort,
        "pot": block.pot,
        "credited_early_msat": str(block.early_msat),
    }


def _best(share: BestShare | None) -> dict[str, object] | None:
    if share is None:
        return None
    return {
        "difficulty": share.difficulty,
        "hash": share.hash,
        "worker": share.worker,
        "time_ms": share.time_ms,
    }


def _terms(announced: Announcement) -> dict[str, object]:
    change = announced.change
    policy = change.term.policy
    return {
        "pot": change.pot,
        "from_ms": announced.from_ms,
        "after_share": change.term.after_share,
        "scheme": policy.scheme.value,
        "fee_bps": policy.fee_bps,
        "window_blocks": str(policy.window) if policy.scheme in WINDOWED else None,
        "policy_hash": policy.hash,
        "text": announced.text,
        "changed": [attrs.asdict(each) for each in announced.news],
    }


def _reward(reward: RewardRow) -> dict[str, object]:
    return {
        "block_hash": reward.block_hash,
        "height": reward.height,
        "state": reward.state,
        "amount_msat": str(reward.amount_msat),
        "credited_early_msat": str(reward.early_msat),
        "time_ms": reward.time_ms,
    }


def _payment(payment: PaymentRow) -> dict[str, object]:
    return {
        "way": payment.way,
        "reference": payment.reference,
        "amount_msat": str(payment.amount_msat),
        "fee_msat": None if payment.fee_msat is None else str(payment.fee_msat),
        "state": payment.state,
        "created_ms": payment.created_ms,
    }
