"""The steps of two of the store's files that brought LUD-15: where wallets want to hear of a new balance."""

from __future__ import annotations

from typing import Final

LEDGER_STEP: Final = """
    CREATE TABLE notice (                -- one an account, the newest; gone with the card that it came by
        account TEXT PRIMARY KEY,
        card INTEGER NOT NULL,           -- access.id
        url TEXT NOT NULL CHECK (length(url) <= 500),  -- may hold a secret of the wallet's: in no log
        seen_msat INTEGER NOT NULL,      -- the balance that the wallet has heard of, or left behind
        failures INTEGER NOT NULL,       -- in a row
        next_ms INTEGER NOT NULL         -- not told before
    ) WITHOUT ROWID;
    """

INBOX_STEP: Final = """
    ALTER TABLE claim ADD COLUMN notify TEXT;    -- of a card's claim: such a URL; taken away after an hour
    CREATE INDEX claim_with_notify ON claim(answer_by_ms) WHERE notify IS NOT NULL;
    """
