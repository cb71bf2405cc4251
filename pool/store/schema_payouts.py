"""The step of ``ledger.db`` that brought limits, rulings, pushes and the history of payments."""

from __future__ import annotations

from typing import Final

STEP: Final = """
    CREATE TABLE payment_now (           -- as payment was, but a push has no claim; see payouts.payment
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        claim_id INTEGER UNIQUE,         -- inbox.db: claim.id; NULL for a push
        account TEXT NOT NULL,
        invoice TEXT NOT NULL,
        payment_hash TEXT NOT NULL UNIQUE,
        amount_msat INTEGER NOT NULL CHECK (amount_msat > 0),
        max_fee_msat INTEGER NOT NULL CHECK (max_fee_msat >= 0),               -- the miner's part, held
        pool_fee_msat INTEGER NOT NULL DEFAULT 0 CHECK (pool_fee_msat >= 0),   -- the pool's part
        fee_msat INTEGER CHECK (fee_msat >= 0),
        state TEXT NOT NULL CHECK (state IN ('reserved', 'sending', 'unknown', 'settled', 'failed')),
        invoice_expires_s INTEGER NOT NULL,
        preimage TEXT,
        reason TEXT,
        held_back TEXT,                  -- why it waits for an operator before it is sent
        ruling TEXT CHECK (ruling IN ('approved', 'refused', 'given up')),     -- written by the operator
        ruling_why TEXT,
        ruled_ms INTEGER,
        created_ms INTEGER NOT NULL,
        updated_ms INTEGER NOT NULL
    );
    INSERT INTO payment_now (id, claim_id, account, invoice, payment_hash, amount_msat, max_fee_msat,
            fee_msat, state, invoice_expires_s, preimage, reason, created_ms, updated_ms)
        SELECT id, claim_id, account, invoice, payment_hash, amount_msat, max_fee_msat,
            fee_msat, state, invoice_expires_s, preimage, reason, created_ms, updated_ms FROM payment;
    DROP TABLE payment;
    ALTER TABLE payment_now RENAME TO payment;
    CREATE INDEX payment_by_account ON payment(account, state);
    CREATE INDEX payment_by_account_and_time ON payment(account, created_ms);
    CREATE INDEX payment_by_time ON payment(created_ms, state, amount_msat, fee_msat);
    CREATE INDEX payment_open ON payment(id) WHERE state IN ('reserved', 'sending', 'unknown');
    CREATE INDEX payment_ruled ON payment(state) WHERE ruling IS NOT NULL;
    CREATE TABLE payment_event (         -- what a payment went through; append-only
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        payment_id INTEGER NOT NULL REFERENCES payment(id),
        event TEXT NOT NULL,             -- the state that it came to, or the operator's ruling
        detail TEXT,
        at_ms INTEGER NOT NULL
    );
    CREATE INDEX payment_event_of ON payment_event(payment_id);
    CREATE TRIGGER payment_event_is_final BEFORE UPDATE ON payment_event BEGIN
        SELECT RAISE(ABORT, 'a payment''s history is append-only');
    END;
    CREATE TRIGGER payment_event_stays BEFORE DELETE ON payment_event BEGIN
        SELECT RAISE(ABORT, 'a payment''s history is append-only');
    END;
    CREATE TABLE node_seen (             -- what the Lightning node told the payer last
        id INTEGER PRIMARY KEY CHECK (id = 1),
        balance_msat INTEGER NOT NULL,
        outbound_msat INTEGER NOT NULL,
        seen_ms INTEGER NOT NULL
    );
    CREATE TABLE destination (           -- where accounts want to be paid unasked; a wish is never changed
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        account TEXT NOT NULL,
        rail TEXT NOT NULL CHECK (rail IN ('lightning', 'onchain')),
        target TEXT,                     -- Lightning Address or address; NULL: none from then on
        asked_by TEXT NOT NULL,
        asked_ms INTEGER NOT NULL,
        valid_from_ms INTEGER NOT NULL,  -- a changed one waits, so that its owner can object
        cancelled_ms INTEGER             -- before it was valid
    );
    CREATE INDEX destination_of ON destination(account, rail, valid_from_ms);
    CREATE TABLE push (                  -- tries to pay a Lightning Address
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        account TEXT NOT NULL,
        target TEXT NOT NULL,
        payment_id INTEGER UNIQUE REFERENCES payment(id),      -- NULL: it came to no payment
        reason TEXT,                     -- then why
        tried_ms INTEGER NOT NULL
    );
    CREATE INDEX push_by_account ON push(account, id);
    CREATE TABLE ladder (                -- accounts whose last pushes failed; gone with a success on any rail
        account TEXT PRIMARY KEY,
        target TEXT NOT NULL,            -- the failures are this one's
        failures INTEGER NOT NULL CHECK (failures > 0),
        next_ms INTEGER NOT NULL         -- not tried again before
    ) WITHOUT ROWID;
"""
