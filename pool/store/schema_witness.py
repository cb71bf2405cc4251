"""A step of ``ledger.db``: services that would say what became of a push (LUD-21), and what they said."""

from __future__ import annotations

from typing import Final

STEP: Final = """
    CREATE TABLE witness (               -- of pushes under way; gone with their outcome, or with a proof
        payment_id INTEGER PRIMARY KEY REFERENCES payment(id),
        url TEXT NOT NULL CHECK (length(url) <= 500),  -- a stranger's, perhaps with a secret: in no log
        asked INTEGER NOT NULL DEFAULT 0,      -- how often
        next_ms INTEGER NOT NULL DEFAULT 0     -- not asked before
    );
    CREATE TABLE testimony (             -- what they said; for the operator, no payment is moved by it
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        payment_id INTEGER NOT NULL REFERENCES payment(id),
        said TEXT NOT NULL CHECK (said IN ('proved', 'settled', 'not settled', 'no answer', 'no sense')),
        at_ms INTEGER NOT NULL
    );
    CREATE INDEX testimony_of ON testimony(payment_id);
    """
