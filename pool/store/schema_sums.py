"""A step of ``ledger.db``: what the book has summed of the share log, for when it starts again."""

from __future__ import annotations

from typing import Final

STEP: Final = """
    CREATE TABLE chunk_sum (             -- it saves time: any row may be deleted at any moment
        id INTEGER PRIMARY KEY,
        pot TEXT NOT NULL,
        first_id INTEGER NOT NULL,       -- shares.db: share.id
        last_id INTEGER NOT NULL,
        mark TEXT NOT NULL,              -- the share at its end: with another one the log is another
        body BLOB NOT NULL,              -- JSON, see pool.store.chunk_sums
        crc INTEGER NOT NULL,            -- CRC-32 of the body
        UNIQUE (pot, first_id, last_id)
    );
    """
