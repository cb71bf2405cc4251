"""The three files of the SQLite store and their tables: who writes which, and what the columns mean.

``shares.db`` is written by fronts, ``ledger.db`` by book and payer, ``inbox.db`` by the web (and by
``sluice account create``).  Everyone may read what it needs; no transaction spans two files.  Columns carry
their unit.  Amounts are signed 64-bit integers of millisatoshi: 21 million bitcoin are 2.1e18 of them.
"""

from __future__ import annotations

from typing import Final

from pool.store import (
    schema_access,
    schema_archive,
    schema_best,
    schema_blocks,
    schema_books,
    schema_log,
    schema_notices,
    schema_payouts,
    schema_sums,
    schema_witness,
)

SHARES: Final = (
    """
    CREATE TABLE target (                -- share targets that were ever used; a share names one by its id
        id INTEGER PRIMARY KEY,
        target BLOB NOT NULL UNIQUE CHECK (length(target) = 32)     -- big endian
    );
    CREATE TABLE share (                 -- the share log: id is the log id that windows are cut by
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        account TEXT NOT NULL,
        worker TEXT NOT NULL,
        target_id INTEGER NOT NULL REFERENCES target(id),
        nbits INTEGER NOT NULL,
        height INTEGER NOT NULL,
        time_ms INTEGER NOT NULL,
        front_id INTEGER NOT NULL,
        job TEXT NOT NULL
    );
    CREATE TABLE found (                 -- blocks that fronts solved; written with the winning share
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        hash TEXT NOT NULL UNIQUE,       -- display order hex
        prev_hash TEXT NOT NULL,
        height INTEGER NOT NULL,
        share_id INTEGER REFERENCES share(id),  -- NULL: the submission earned no share (stale, duplicate)
        account TEXT NOT NULL,
        worker TEXT NOT NULL,
        address TEXT NOT NULL,           -- the pool's address that the coinbase pays
        found_ms INTEGER NOT NULL,
        file TEXT NOT NULL               -- the saved block
    );
    CREATE TABLE submission (            -- what each node said to each block
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        hash TEXT NOT NULL,
        node TEXT NOT NULL,
        result TEXT NOT NULL,            -- 'accepted' or the node's own word
        at_ms INTEGER NOT NULL
    );
    CREATE TABLE rejected (              -- counts per hour: what the site shows beside accepted shares
        hour_s INTEGER NOT NULL,
        code INTEGER NOT NULL,
        count INTEGER NOT NULL,
        PRIMARY KEY (hour_s, code)
    ) WITHOUT ROWID;
    CREATE TABLE boot (                  -- one row for each start of a front: coinbases differ by it
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        front_id INTEGER NOT NULL,
        started_ms INTEGER NOT NULL
    );
    """,
    """
    -- what a port's shares are counted under, and whose shares a block is divided among
    ALTER TABLE share ADD COLUMN pot TEXT NOT NULL DEFAULT 'pool';
    ALTER TABLE found ADD COLUMN pot TEXT NOT NULL DEFAULT 'pool';
    -- windows of small pots: the main one is read as it lies, and solo needs none
    CREATE INDEX share_of_pot ON share(pot, id) WHERE pot <> 'pool' AND pot <> 'solo';
    """,
    schema_best.STEP,
    schema_archive.STEP,
)

LEDGER: Final = (
    """
    CREATE TABLE account (               -- pool accounts (address accounts need no row)
        name TEXT PRIMARY KEY,
        secret_hash TEXT NOT NULL UNIQUE,      -- hex SHA-256 of the claim secret
        created_ms INTEGER NOT NULL
    );
    CREATE TABLE address_stock (         -- addresses for coinbases, made ahead by the payer's wallet
        id INTEGER PRIMARY KEY,          -- a front takes the lowest id that no found block used
        address TEXT NOT NULL UNIQUE,
        script BLOB NOT NULL UNIQUE,
        made_ms INTEGER NOT NULL
    );
    CREATE TABLE block (                 -- a block's life, decided by headers
        hash TEXT PRIMARY KEY,
        found_id INTEGER NOT NULL UNIQUE,      -- shares.db: found.id
        share_id INTEGER,
        height INTEGER NOT NULL,
        account TEXT NOT NULL,           -- the finder
        state TEXT NOT NULL CHECK (state IN ('submitted', 'immature', 'mature', 'orphaned')),
        activations INTEGER NOT NULL DEFAULT 0,
        confirmations INTEGER NOT NULL DEFAULT 0,
        value_msat INTEGER,              -- what its coinbase pays to our scripts; NULL until it was active
        found_ms INTEGER NOT NULL,
        updated_ms INTEGER NOT NULL
    );
    CREATE TABLE journal (               -- append-only double entry; key is the idempotency key
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        key TEXT NOT NULL UNIQUE,
        kind TEXT NOT NULL,
        time_ms INTEGER NOT NULL,
        memo TEXT NOT NULL,              -- JSON: what the entry was computed from (policy, window, block …)
        previous TEXT NOT NULL,          -- hash of the entry before
        hash TEXT NOT NULL UNIQUE        -- SHA-256 over previous, key, kind, time, memo and postings
    );
    CREATE TABLE posting (               -- debit positive, credit negative; each entry sums to zero
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        journal_id INTEGER NOT NULL REFERENCES journal(id),
        account TEXT NOT NULL,           -- ledger account, see pool.ledger
        amount_msat INTEGER NOT NULL CHECK (amount_msat <> 0)
    );
    CREATE INDEX posting_by_account ON posting(account, journal_id);
    CREATE INDEX posting_by_journal ON posting(journal_id);
    CREATE TABLE balance (               -- running sums of postings, kept by a trigger; never written by hand
        account TEXT PRIMARY KEY,
        amount_msat INTEGER NOT NULL,
        -- no miner's balance and no asset is ever overdrawn (liabilities are credit balances: negative)
        CHECK (account NOT LIKE 'liabilities:%' OR amount_msat <= 0),
        CHECK (account NOT LIKE 'assets:%' OR amount_msat >= 0)
    ) WITHOUT ROWID;
    CREATE TRIGGER posting_adds AFTER INSERT ON posting BEGIN
        -- two steps: an upsert would hold the checks against the posting, not against the new balance
        INSERT INTO balance (account, amount_msat) VALUES (new.account, 0) ON CONFLICT DO NOTHING;
        UPDATE balance SET amount_msat = amount_msat + new.amount_msat WHERE account = new.account;
    END;
    CREATE TRIGGER posting_is_final BEFORE UPDATE ON posting BEGIN
        SELECT RAISE(ABORT, 'postings are append-only');
    END;
    CREATE TRIGGER posting_stays BEFORE DELETE ON posting BEGIN
        SELECT RAISE(ABORT, 'postings are append-only');
    END;
    CREATE TRIGGER journal_is_final BEFORE UPDATE ON journal BEGIN
        SELECT RAISE(ABORT, 'the journal is append-only');
    END;
    CREATE TRIGGER journal_stays BEFORE DELETE ON journal BEGIN
        SELECT RAISE(ABORT, 'the journal is append-only');
    END;
    CREATE TABLE payment (               -- Lightning payments: see payouts.payment for the moves
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        claim_id INTEGER NOT NULL UNIQUE,
        account TEXT NOT NULL,
        invoice TEXT NOT NULL,
        payment_hash TEXT NOT NULL UNIQUE,
        amount_msat INTEGER NOT NULL CHECK (amount_msat > 0),
        max_fee_msat INTEGER NOT NULL CHECK (max_fee_msat >= 0),
        fee_msat INTEGER CHECK (fee_msat >= 0),
        state TEXT NOT NULL CHECK (state IN ('reserved', 'sending', 'unknown', 'settled', 'failed')),
        invoice_expires_s INTEGER NOT NULL,
        preimage TEXT,
        reason TEXT,
        created_ms INTEGER NOT NULL,
        updated_ms INTEGER NOT NULL
    );
    CREATE INDEX payment_by_account ON payment(account, state);
    CREATE TABLE claim (                 -- the payer's answers to claims of inbox.db
        claim_id INTEGER PRIMARY KEY,    -- inbox.db: claim.id
        account TEXT NOT NULL,
        k1_hash TEXT NOT NULL,
        invoice TEXT NOT NULL,
        taken INTEGER NOT NULL CHECK (taken IN (0, 1)),
        reason TEXT,                     -- when it was refused
        answered_ms INTEGER NOT NULL
    );
    CREATE UNIQUE INDEX claim_taken_once ON claim(k1_hash) WHERE taken = 1;
    CREATE INDEX claim_by_account ON claim(account, taken);
    CREATE TABLE batch (                 -- on-chain batches
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        txid TEXT NOT NULL UNIQUE,
        raw_tx TEXT NOT NULL,
        inputs TEXT NOT NULL,            -- JSON list of txid:vout
        fee_sat INTEGER NOT NULL CHECK (fee_sat >= 0),
        state TEXT NOT NULL CHECK (state IN ('signed', 'broadcast', 'settled', 'rejected')),
        reason TEXT,
        created_ms INTEGER NOT NULL,
        updated_ms INTEGER NOT NULL
    );
    CREATE TABLE batch_output (
        batch_id INTEGER NOT NULL REFERENCES batch(id),
        account TEXT NOT NULL,
        address TEXT NOT NULL,
        amount_sat INTEGER NOT NULL CHECK (amount_sat > 0),
        PRIMARY KEY (batch_id, account)
    ) WITHOUT ROWID;
    CREATE TABLE breaker (               -- sending is stopped while a row has no resumed_ms
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        reason TEXT NOT NULL,
        tripped_ms INTEGER NOT NULL,
        resumed_ms INTEGER,
        resumed_why TEXT
    );
    """,
    schema_access.LEDGER_STEP,
    schema_payouts.STEP,
    """
    ALTER TABLE block ADD COLUMN pot TEXT NOT NULL DEFAULT 'pool';      -- shares.db: found.pot
    """,
    schema_blocks.STEP,
    schema_books.STEP,
    schema_log.STEP,
    schema_notices.LEDGER_STEP,
    schema_sums.STEP,
    schema_witness.STEP,
)

INBOX: Final = (
    """
    CREATE TABLE new_account (           -- accounts asked for; the book takes them over into ledger.db
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL UNIQUE,
        secret_hash TEXT NOT NULL UNIQUE,
        created_ms INTEGER NOT NULL
    );
    CREATE TABLE claim (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        account TEXT NOT NULL,
        token_expires_s INTEGER NOT NULL,
        k1_hash TEXT NOT NULL,
        invoice TEXT NOT NULL,
        filed_ms INTEGER NOT NULL,
        answer_by_ms INTEGER NOT NULL,
        UNIQUE (k1_hash, invoice)
    );
    CREATE INDEX claim_by_time ON claim(answer_by_ms);
    """,
    schema_access.INBOX_STEP,
    schema_notices.INBOX_STEP,
)
