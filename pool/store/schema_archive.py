"""The step of ``shares.db`` that lets old shares leave it: what went into which archive file."""

from __future__ import annotations

from typing import Final

STEP: Final = """
    CREATE TABLE archive (               -- shares up to the greatest last_id are in files, not in the log
        first_id INTEGER PRIMARY KEY,
        last_id INTEGER NOT NULL UNIQUE CHECK (last_id >= first_id),
        file TEXT NOT NULL UNIQUE,       -- its name in the directory archive/ beside this database
        shares INTEGER NOT NULL,
        pots TEXT NOT NULL,              -- JSON: how many of them are of which pot
        oldest_ms INTEGER NOT NULL,
        newest_ms INTEGER NOT NULL,
        bytes INTEGER NOT NULL,
        file_sha256 TEXT NOT NULL,       -- of the file as it is
        content_sha256 TEXT NOT NULL,    -- of what it holds, however it is compressed
        archived_ms INTEGER NOT NULL
    );
    CREATE TRIGGER archive_follows BEFORE INSERT ON archive
        WHEN new.first_id <> (SELECT coalesce(max(last_id), 0) + 1 FROM archive)
    BEGIN
        SELECT RAISE(ABORT, 'archives of the share log come one after the other');
    END;
    CREATE TRIGGER archive_is_final BEFORE UPDATE ON archive BEGIN
        SELECT RAISE(ABORT, 'archives of the share log are append-only');
    END;
    CREATE TRIGGER archive_stays BEFORE DELETE ON archive BEGIN
        SELECT RAISE(ABORT, 'archives of the share log are append-only');
    END;
    -- even a slip in our own code shall not lose a share that no file has
    CREATE TRIGGER share_stays BEFORE DELETE ON share
        WHEN old.id > (SELECT coalesce(max(last_id), 0) FROM archive)
    BEGIN
        SELECT RAISE(ABORT, 'only archived shares may leave the log');
    END;
    CREATE TABLE archived_work (         -- what sites show of old blocks: shares by kind, from one winner
        last_id INTEGER NOT NULL,        -- of the main pot (or end of a file) to the next
        target_id INTEGER NOT NULL REFERENCES target(id),
        nbits INTEGER NOT NULL,
        main INTEGER NOT NULL CHECK (main IN (0, 1)),       -- whether they are of the main pot
        count INTEGER NOT NULL,
        PRIMARY KEY (last_id, target_id, nbits, main)
    ) WITHOUT ROWID;
    -- a winning share may be archived while its block stays: the same table without the reference to share
    CREATE TABLE found_again (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        hash TEXT NOT NULL UNIQUE,
        prev_hash TEXT NOT NULL,
        height INTEGER NOT NULL,
        share_id INTEGER,                -- NULL: the submission earned no share (stale, duplicate)
        account TEXT NOT NULL,
        worker TEXT NOT NULL,
        address TEXT NOT NULL,
        found_ms INTEGER NOT NULL,
        file TEXT NOT NULL,
        pot TEXT NOT NULL DEFAULT 'pool'
    );
    INSERT INTO found_again
        SELECT id, hash, prev_hash, height, share_id, account, worker, address, found_ms, file, pot
        FROM found;
    DROP TABLE found;
    ALTER TABLE found_again RENAME TO found;
    """
