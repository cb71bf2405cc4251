"""The step of ``ledger.db`` that brought the Merkle tree over the share log, and what blocks fix of it."""

from __future__ import annotations

from typing import Final

STEP: Final = """
    CREATE TABLE log_tile (              -- complete subtrees of 4,096 leaves of the log's tree; append-only
        n INTEGER PRIMARY KEY,           -- holds the shares with log ids n * 4096 + 1 to n * 4096 + 4096
        root BLOB NOT NULL CHECK (length(root) = 32),
        nodes BLOB NOT NULL CHECK (length(nodes) = 2048)    -- the roots of its 64 subtrees of 64 leaves
    );
    CREATE TRIGGER log_tile_follows BEFORE INSERT ON log_tile
        WHEN new.n <> (SELECT coalesce(max(n), -1) + 1 FROM log_tile)
    BEGIN
        SELECT RAISE(ABORT, 'tiles of the share log come one after the other');
    END;
    CREATE TRIGGER log_tile_is_final BEFORE UPDATE ON log_tile BEGIN
        SELECT RAISE(ABORT, 'tiles of the share log are append-only');
    END;
    CREATE TRIGGER log_tile_stays BEFORE DELETE ON log_tile BEGIN
        SELECT RAISE(ABORT, 'tiles of the share log are append-only');
    END;
    CREATE TABLE commitment (            -- what coinbases were given to fix; kept while a block may bring it
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        size INTEGER NOT NULL CHECK (size >= 0),            -- shares that the root is over: ids 1 to size
        root BLOB NOT NULL CHECK (length(root) = 32),
        document TEXT NOT NULL,          -- JSON: size, root, policies and newest journal entry
        digest BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),    -- of the document; it is in the coinbase
        made_ms INTEGER NOT NULL
    );
    CREATE TRIGGER commitment_is_final BEFORE UPDATE ON commitment BEGIN
        SELECT RAISE(ABORT, 'commitments are not changed');
    END;
    CREATE TABLE block_proof (           -- of each found block: what proves its coinbase; append-only
        hash TEXT PRIMARY KEY REFERENCES block(hash),
        header BLOB NOT NULL CHECK (length(header) = 80),
        coinbase BLOB NOT NULL,          -- without witness: what the transaction's id is the hash of
        branch BLOB NOT NULL CHECK (length(branch) % 32 = 0),
        commitment_id INTEGER REFERENCES commitment(id)     -- NULL: its coinbase names none of ours
    );
    CREATE INDEX block_proof_by_commitment ON block_proof(commitment_id);
    CREATE TRIGGER block_proof_is_final BEFORE UPDATE ON block_proof BEGIN
        SELECT RAISE(ABORT, 'proofs of blocks are append-only');
    END;
    CREATE TRIGGER block_proof_stays BEFORE DELETE ON block_proof BEGIN
        SELECT RAISE(ABORT, 'proofs of blocks are append-only');
    END;
"""
