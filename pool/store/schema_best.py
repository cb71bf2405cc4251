"""Step 3 of ``shares.db``: the best share of every machine, ever and since the pool's newest block."""

from __future__ import annotations

from typing import Final

STEP: Final = """
    CREATE TABLE best_share (            -- written with the share that beats what is here, which is rare
        account TEXT NOT NULL,
        worker TEXT NOT NULL,
        hash TEXT NOT NULL,              -- of the header, display order hex: the least is the best
        time_ms INTEGER NOT NULL,
        round_start INTEGER NOT NULL,    -- log id of the main pot's newest winning share at the time
        round_hash TEXT NOT NULL,        -- the best since then; out of date once there is a newer one
        round_ms INTEGER NOT NULL,
        PRIMARY KEY (account, worker)
    ) WITHOUT ROWID;
    CREATE INDEX best_share_ever ON best_share(hash);
    CREATE INDEX best_share_of_round ON best_share(round_start, round_hash);
    -- of shares from before this table nothing but blocks' hashes is known; they ended their rounds
    INSERT INTO best_share
        SELECT account, worker, min(hash), found_ms, 0, min(hash), found_ms FROM found
        WHERE share_id IS NOT NULL GROUP BY account, worker;
    """
