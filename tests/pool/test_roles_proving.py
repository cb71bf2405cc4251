"""The book's loops for proofs: the tree grows beside everything else, and found blocks' proofs are kept."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from twisted.logger import Logger

from pool import config as configuration
from pool.committing import SLICE
from pool.roles.base import Context, Loops
from pool.roles.proving import GROW_EVERY_S, GROW_PAUSE_S, KEEP_EVERY_S, keep_proofs
from pool.store.block_proofs import ProofTable
from pool.store.database import connect
from pool.store.log_tree import LogTable
from tests.pool.cli_tools import configure
from tests.pool.proven_pool import ProvenPool
from tests.pool.test_roles_book import Reactor
from tests.pool.test_settle import NOW_MS


def test_the_tree_grows_a_slice_at_a_time_and_a_blocks_proof_is_kept_in_a_thread(tmp_path: Path) -> None:
    config = configuration.load(configure(tmp_path), secrets=())
    reactor, wall_s = Reactor(), NOW_MS // 1000
    context = Context(config, reactor, lambda: wall_s + reactor.seconds(), Logger(), lambda _: None)
    loops = Loops(context)
    with closing(connect(tmp_path, "shares")) as shares, closing(connect(tmp_path, "ledger")) as books:
        pool, table = ProvenPool(tmp_path, shares, books), LogTable(books)
        pool.mine(["ann"] * (2 * SLICE + 1))
        keep_proofs(context, loops, books, shares)

        def size() -> int:
            newest = table.newest()
            assert newest is not None
            return newest.commitment.size

        assert size() == SLICE  # at once, and the rest with pauses in between
        reactor.pump([GROW_PAUSE_S] * 2)
        reactor.pump([GROW_EVERY_S] * 6)
        assert size() == 2 * SLICE + 1

        pool.fixing = False
        pool.find("bob", keep=False)
        assert len(ProofTable(books).missing()) == 1
        reactor.advance(KEEP_EVERY_S)
        reactor.obey()  # what the thread has read
        assert ProofTable(books).missing() == []
        loops.stop()
