"""The tables about who may open which account: steps of two of the store's files."""

from __future__ import annotations

from typing import Final

LEDGER_STEP: Final = """
    CREATE TABLE access (                -- what opens an account, beside the secret that it was made with
        id INTEGER PRIMARY KEY AUTOINCREMENT,  -- of a card: the number in its withdraw token, drawn at random
        account TEXT NOT NULL,
        kind TEXT NOT NULL CHECK (kind IN ('link', 'wallet', 'card')),
        token TEXT NOT NULL,             -- link: hex SHA-256 of its secret; wallet: its key; card: a nonce
        proof TEXT,                      -- of an address account's link: the signature, as it was given
        made_ms INTEGER NOT NULL,
        revoked_ms INTEGER
    );
    CREATE UNIQUE INDEX access_once ON access(kind, token) WHERE kind <> 'wallet';
    CREATE UNIQUE INDEX access_wallet ON access(token) WHERE kind = 'wallet' AND revoked_ms IS NULL;
    CREATE INDEX access_by_account ON access(account, kind);
    CREATE TABLE wish (                  -- the answers to the wishes of inbox.db
        wish_id INTEGER PRIMARY KEY,     -- inbox.db: wish.id
        body_hash TEXT NOT NULL,         -- tells an inbox that was begun anew from the one that was answered
        granted INTEGER NOT NULL CHECK (granted IN (0, 1)),
        reason TEXT,                     -- when it was refused
        answered_ms INTEGER NOT NULL
    );
    """

INBOX_STEP: Final = """
    ALTER TABLE claim ADD COLUMN card INTEGER NOT NULL DEFAULT 0;   -- ledger.db: access.id; 0: a page's code
    CREATE TABLE wish (                  -- what people ask on their pages
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        account TEXT NOT NULL,
        body TEXT NOT NULL,              -- JSON, see pool.wishes; secrets are in it as their hashes only
        filed_ms INTEGER NOT NULL,
        answer_by_ms INTEGER NOT NULL
    );
    CREATE INDEX wish_by_time ON wish(answer_by_ms);
    CREATE TABLE login (                 -- challenges that a wallet has signed (LUD-04), for some minutes
        k1_hash TEXT PRIMARY KEY,
        wallet TEXT NOT NULL,            -- the wallet's key for this site, 66 hex digits
        signature TEXT NOT NULL,         -- DER, hex
        signed_ms INTEGER NOT NULL
    ) WITHOUT ROWID;
    """
