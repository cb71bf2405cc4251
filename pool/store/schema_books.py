"""The step of ``ledger.db`` that brought daily assertions and the record of rewards that were checked."""

from __future__ import annotations

from typing import Final

STEP: Final = """
    CREATE TABLE assertion (             -- what the books came to at the beginning of a day; append-only
        day TEXT PRIMARY KEY,            -- 2026-11-24, in UTC
        journal_id INTEGER NOT NULL,     -- the last entry before it
        journal_hash TEXT NOT NULL,
        assets_msat INTEGER NOT NULL,    -- sums of all postings up to it, debit positive
        liabilities_msat INTEGER NOT NULL,
        equity_msat INTEGER NOT NULL,
        income_msat INTEGER NOT NULL,
        expense_msat INTEGER NOT NULL,
        written_ms INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TRIGGER assertion_is_final BEFORE UPDATE ON assertion BEGIN
        SELECT RAISE(ABORT, 'assertions are append-only');
    END;
    CREATE TRIGGER assertion_stays BEFORE DELETE ON assertion BEGIN
        SELECT RAISE(ABORT, 'assertions are append-only');
    END;
    CREATE TABLE reward_check (          -- rewards that the book has counted again, share by share
        journal_id INTEGER PRIMARY KEY REFERENCES journal(id),
        differences TEXT NOT NULL,       -- JSON list of sentences, empty when it is right
        checked_ms INTEGER NOT NULL
    );
"""
