"""The OpenAPI document of the public API."""

from __future__ import annotations

from typing import Any, Final

_AMOUNT: Final = {"type": "string", "pattern": "^-?[0-9]+$"}
_MAYBE_AMOUNT: Final = {"type": ["string", "null"], "pattern": "^-?[0-9]+$"}
_WHOLE: Final = {"type": "integer"}
_NUMBER: Final = {"type": "number"}
_FLAG: Final = {"type": "boolean"}
_TEXT: Final = {"type": "string"}
_TIME: Final = {"type": "integer", "description": "Unix milliseconds"}


def _object(**properties: object) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _list(item: object) -> dict[str, Any]:
    return {"type": "array", "items": item}


_HASHRATE: Final = _object(
    hps={"type": "number", "description": "hashes per second"},
    low_hps={"type": "number", "description": "lower end of the 95 % interval"},
    high_hps={"type": "number", "description": "upper end of it"},
    shares=_WHOLE,
    span_s=_NUMBER,
)
_BEST: Final = {
    **_object(
        difficulty={"type": "number", "description": "the greatest that its hash meets"},
        hash={"type": "string", "description": "of its header"},
        worker=_TEXT,
        time_ms=_TIME,
    ),
    "type": ["object", "null"],
}
_DIFFICULTY: Final = {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?$"}
_PORT: Final = _object(
    url={"type": "string", "description": "stratum+tcp or stratum+ssl, host and port"},
    tls=_FLAG,
    start_difficulty=_DIFFICULTY,
    minimum_difficulty=_DIFFICULTY,
    vardiff={"type": "boolean", "description": "whether difficulty follows the machine"},
    purpose={"type": "string", "description": "what the port is for; may be empty"},
    terms={"type": "string", "description": "how its blocks are divided; empty: as the pool's"},
)
_POOL: Final = _object(
    name=_TEXT,
    network=_TEXT,
    stratum_url={"type": "string", "description": "of the first port"},
    stratum_ports=_list(_PORT),
    scheme=_TEXT,
    window_blocks=_TEXT,
    fee_bps=_WHOLE,
    maturity_confirmations=_WHOLE,
    credit_confirmations={
        "type": ["integer", "null"],
        "description": "from which a reward may be credited before it matures; null: it never is",
    },
    threshold_sat=_AMOUNT,
    lightning_minimum_sat=_MAYBE_AMOUNT,
    hashrate_10min=_HASHRATE,
    hashrate_1h=_HASHRATE,
    accounts=_WHOLE,
    workers=_WHOLE,
    newest_share_ms={"type": ["integer", "null"], "description": "Unix milliseconds"},
    round_effort=_NUMBER,
    best_share=_BEST,
    best_share_of_round=_BEST,
    best_share_of_round_odds={
        "type": ["number", "null"],
        "description": "probability of one at least as good for the work of this round",
    },
)
_BLOCK: Final = _object(
    hash=_TEXT,
    height=_WHOLE,
    finder=_TEXT,
    state={"enum": ["submitted", "immature", "mature", "orphaned"]},
    confirmations=_WHOLE,
    value_msat=_MAYBE_AMOUNT,
    found_ms=_TIME,
    effort={"type": ["number", "null"]},
    pot={"type": "string", "description": "whose shares it is divided among: pool, or a port's scheme"},
    credited_early_msat={"type": "string", "description": "to all of its miners, while it is immature"},
)
_LUCK: Final = {
    **_object(
        blocks={"type": "integer", "description": "of the pool's own pot, with known effort"},
        ratio={"type": "number", "description": "blocks over the work that went into them"},
        low={"type": "number", "description": "lower end of the 95 % interval"},
        high={"type": "number", "description": "upper end of it"},
        worse={"type": "number", "description": "probability that a faultless pool has worse luck"},
    ),
    "type": ["object", "null"],
}
_ACCOUNT: Final = _object(
    account=_TEXT,
    immature_msat=_AMOUNT,
    available_msat=_AMOUNT,
    held_msat=_AMOUNT,
    hashrate_10min=_HASHRATE,
    hashrate_1h=_HASHRATE,
    best_share=_BEST,
    best_share_of_round=_BEST,
    workers=_list(
        _object(
            name=_TEXT,
            hashrate_10min=_HASHRATE,
            last_share_ms=_TIME,
            silent=_FLAG,
            best_share=_BEST,
            best_share_of_round=_BEST,
        )
    ),
    rewards=_list(
        _object(
            block_hash=_TEXT,
            height={"type": ["integer", "null"]},
            state={"type": ["string", "null"]},
            amount_msat=_AMOUNT,
            credited_early_msat={"type": "string", "description": "of amount_msat, before it matured"},
            time_ms=_TIME,
        )
    ),
    payments=_list(
        _object(
            way={"enum": ["lightning", "onchain"]},
            reference={"type": "string", "description": "payment hash or transaction id"},
            amount_msat=_AMOUNT,
            fee_msat=_MAYBE_AMOUNT,
            state=_TEXT,
            created_ms=_TIME,
        )
    ),
)
_TERMS: Final = _object(
    pot={"type": "string", "description": "whose: pool, or a port's scheme"},
    from_ms=_TIME,
    after_share={"type": "integer", "description": "log id: shares after it are mined under these terms"},
    scheme=_TEXT,
    fee_bps=_WHOLE,
    window_blocks={"type": ["string", "null"], "description": "a fraction; null where a scheme has none"},
    policy_hash={"type": "string", "description": "SHA-256 of the terms, as rewards name them"},
    text={"type": "string", "description": "what they promise"},
    changed=_list(_object(what=_TEXT, before=_TEXT, after=_TEXT)),
)
_RATE: Final = _object(
    height={"type": "integer", "description": "that shares seek"},
    fees_msat={**_AMOUNT, "description": "what a whole block's work is paid for fees, before the pool's fee"},
    after={"type": "string", "description": "hash of the block before, up to which fees were counted"},
    blocks={"type": "integer", "description": "how many blocks' fees it is a trimmed mean of"},
)
_PROOF: Final = {
    "type": "object",
    "description": "for `sluice verify`, see docs/accounting.md; what is refused has another status than 200",
    "properties": {"format": _TEXT, "checksum": _TEXT},
    "required": ["format", "checksum"],
}
_ERROR: Final = _object(error=_object(code=_TEXT, message=_TEXT))


def _get(operation: str, summary: str, schema: object, **more: object) -> dict[str, Any]:
    answer = {"description": summary, "content": {"application/json": {"schema": schema}}}
    refusal = {"description": "There is no such thing", "content": {"application/json": {"schema": _ERROR}}}
    answers = {"200": answer, "404": refusal}
    return {"get": {"operationId": operation, "summary": summary, "responses": answers, **more}}


def _in_path(name: str, schema: object = _TEXT) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _proof(operation: str, summary: str, *parameters: dict[str, Any]) -> dict[str, Any]:
    """A document that may not be there yet, and that is not made for everybody at once."""
    found = _get(operation, summary, _PROOF, parameters=list(parameters))
    refusal = {"application/json": {"schema": _ERROR}}
    found["get"]["responses"] |= {
        "409": {"description": "There is no such proof, or not yet", "content": refusal},
        "429": {"description": "Too many at once", "content": refusal},
    }
    return found


def document(public_url: str) -> dict[str, Any]:
    """The document for a site at this URL."""
    address, block, share = _in_path("address"), _in_path("block_hash"), _in_path("share_id", _WHOLE)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Sluice", "version": "1", "description": "Amounts are strings, in msat or sat."},
        "servers": [{"url": public_url}],
        "paths": {
            "/api/v1/pool": _get("pool", "The pool's terms and figures", _POOL),
            "/api/v1/blocks": _get(
                "blocks",
                "Blocks that the pool found, newest first",
                _object(blocks=_list(_BLOCK), luck=_LUCK),
            ),
            "/api/v1/rates": _get(
                "rates",
                "What shares are paid for fees (FPPS), frozen for each height, greatest first",
                _object(rates=_list(_RATE)),
            ),
            "/api/v1/terms": _get(
                "terms",
                "Terms that shares are and were mined under, newest first",
                _object(terms=_list(_TERMS)),
            ),
            "/api/v1/account/{address}": _get(
                "account", "An address account's balances and figures", _ACCOUNT, parameters=[address]
            ),
            "/api/v1/blocks/{block_hash}/statement/{address}": _proof(
                "statement", "What an address account got of a block, and why, with proofs", block, address
            ),
            "/api/v1/shares/{share_id}/receipt/{address}": _proof(
                "receipt",
                "That a share of an address account is in the log that a block has fixed",
                share,
                address,
            ),
            "/api/v1/openapi.json": _get("openapi", "This document", {"type": "object"}),
        },
    }
