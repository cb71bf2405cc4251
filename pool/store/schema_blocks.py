"""The step of ``ledger.db`` that brought the treasury's descriptors and the history of each block."""

from __future__ import annotations

from typing import Final

STEP: Final = """
    CREATE TABLE treasury (              -- public descriptors that coinbases pay to; the newest is in use
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        descriptor TEXT NOT NULL UNIQUE, -- with its checksum; no private key is ever in it
        imported_ms INTEGER NOT NULL
    );
    ALTER TABLE address_stock ADD COLUMN treasury_id INTEGER REFERENCES treasury(id);   -- NULL: the wallet's
    ALTER TABLE address_stock ADD COLUMN number INTEGER;     -- index in the treasury's descriptor
    CREATE UNIQUE INDEX address_stock_by_number ON address_stock(treasury_id, number)
        WHERE treasury_id IS NOT NULL;
    CREATE TABLE block_event (           -- every change of a block's state, in the change's own transaction
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        hash TEXT NOT NULL REFERENCES block(hash),
        state TEXT NOT NULL,             -- what the block became
        activations INTEGER NOT NULL,    -- how often it had become part of the chain by then
        confirmations INTEGER NOT NULL,
        at_ms INTEGER NOT NULL
    );
    CREATE INDEX block_event_by_hash ON block_event(hash, id);
    INSERT INTO block_event (hash, state, activations, confirmations, at_ms)
        SELECT hash, state, activations, confirmations, updated_ms FROM block ORDER BY found_id;
    CREATE TRIGGER block_begins AFTER INSERT ON block BEGIN
        INSERT INTO block_event (hash, state, activations, confirmations, at_ms)
            VALUES (new.hash, new.state, new.activations, new.confirmations, new.updated_ms);
    END;
    CREATE TRIGGER block_changes AFTER UPDATE OF state ON block WHEN new.state <> old.state BEGIN
        INSERT INTO block_event (hash, state, activations, confirmations, at_ms)
            VALUES (new.hash, new.state, new.activations, new.confirmations, new.updated_ms);
    END;
    CREATE TRIGGER block_event_is_final BEFORE UPDATE ON block_event BEGIN
        SELECT RAISE(ABORT, 'the history of blocks is append-only');
    END;
    CREATE TRIGGER block_event_stays BEFORE DELETE ON block_event BEGIN
        SELECT RAISE(ABORT, 'the history of blocks is append-only');
    END;
"""
