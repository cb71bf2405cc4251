"""A pool in memory that found a block: its log, its policies, the reward by the code that pays, the block."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

import attrs

from payouts.money import Msat, to_msat
from pool.chain.block import assemble, block_hash
from pool.chain.coinbase import Mark, build_paying, root_from_branch, sha256d
from pool.chain.merkle import branch_beside_coinbase
from pool.chain.node import CoinbaseOutput
from pool.chain.template import parse
from pool.proof.blockproof import BlockProof, from_block
from pool.proof.building import Rewarded, build
from pool.proof.commitment import Commitment, output_data, policies_of
from pool.proof.merkle import Node, node_over, root_of
from pool.proof.record import ShareRecord, leaf
from pool.proof.statement import Statement
from pool.rewards.policy import AT_ONCE, Policy, Scheme, Term
from pool.rewards.reward import Reward, memo, reward
from pool.rewards.stakes import stakes
from pool.shares import Chunk, Slice, chunk_of, network_work
from stratum.units import MAX_TARGET, Target, Work, target_from_nbits
from tests.pool.chain_samples import answer

NBITS = 0x207FFFFF  # regtest: a block is two hashes' work
HARDER = 0x2000FFFF  # 256 times as hard
EASY = MAX_TARGET
BLOCK = Target(0x7FFFFF << 232)
JOURNAL = "ab" * 32


def share(
    number: int, account: str, target: int = BLOCK, nbits: int = NBITS, pot: str = "pool"
) -> ShareRecord:
    target_bytes = target.to_bytes(32, "big")
    return ShareRecord(
        number, account, f"rig{number % 3}", target_bytes, nbits, 840_000, 1000 * number, 1, "1f", pot
    )


class MemoryLog:
    """A pool.rewards.stakes.PotLog over records."""

    def __init__(self, records: Sequence[ShareRecord], pot: str, round_start: int = 0) -> None:
        self._all = records
        self._own = [each for each in records if each.pot == pot]
        self._round_start = round_start

    def rows(self, first_id: int, last_id: int) -> Iterator[Slice]:
        for each in reversed(self._own):
            if first_id <= each.id <= last_id:
                target = Target(int.from_bytes(each.target, "big"))
                yield Slice(each.account, each.nbits, target, 1, each.id, each.id)

    def chunks(self, last_id: int, after_id: int = 0) -> Iterator[Chunk]:
        """Pieces of eight ids."""
        for first in range(last_id - 7, after_id - 8, -8):
            begin = max(first, after_id + 1)
            yield chunk_of(begin, first + 7, self.rows(begin, first + 7))

    def network(self, last_id: int) -> Work:
        return network_work(self._all[last_id - 1].nbits)

    def round_start(self, last_id: int) -> int:
        return self._round_start


@attrs.frozen
class Found:
    """All that there is about a block that a pool found.

    Attributes:
        records: the log, up to the winning share and beyond.
        commitment: what the block's job carried.
        raw: the whole block.
        reward: as it was paid.
        rewarded: the same, as the books have it.
        node: subtrees over all records.
        before: an earlier block and what it fixed.
    """

    records: Sequence[ShareRecord]
    commitment: Commitment
    raw: bytes
    reward: Reward
    rewarded: Rewarded
    node: Node
    before: tuple[BlockProof, Commitment] | None = None

    @property
    def block(self) -> BlockProof:
        return from_block(self.raw)

    @property
    def hash(self) -> str:
        return block_hash(self.raw)

    def statement(self, account: str, most: int = 10_000) -> Statement:
        pot = str(self.rewarded.memo["pot"])
        own = [each for each in reversed(self.records) if each.account == account and each.pot == pot]
        parts = (account, self.block, self.commitment, self.rewarded, own, self.node)
        return build(*parts, most=most, before=self.before)


def found(
    records: Sequence[ShareRecord],
    terms: Sequence[Term],
    *,
    fixed: int,
    last_id: int | None = None,
    residual_in: int = 0,
    round_start: int = 0,
    also: Sequence[tuple[str, Term]] = (),
    before: int | None = None,
) -> Found:
    """Find a block with one of the shares, and pay it.

    Args:
        records: the log; ids are 1 and so on.
        terms: the policies of the winning share's pot.
        fixed: how many shares the commitment has.
        last_id: of the winning share; the last one if it is not said.
        residual_in: msat.
        round_start: winning share before.
        also: policies of other pots.
        before: how many shares an earlier block fixed; None: there was none.
    """
    winning = records[(last_id or len(records)) - 1]
    hashes = [leaf(each) for each in records]

    def committed(size: int) -> Commitment:
        # a policy that came later than the commitment is not in it
        known = [(winning.pot, term) for term in terms if term.after_share <= size]
        return Commitment(size, root_of(hashes[:size]), policies_of([*known, *also]), JOURNAL)

    commitment = committed(fixed)
    raw, value = mined(output_data(commitment), winning.nbits)
    log = MemoryLog(records, winning.pot, round_start)
    paid = reward(stakes(log, terms, winning.id, winning.account), value, Msat(residual_in), 840_000)
    noted = {**memo(winning.pot, paid), "height": 840_000}
    rewarded = Rewarded(noted, paid.division.credits, winning.account)
    earlier = None
    if before is not None:
        old = committed(before)
        earlier = from_block(mined(output_data(old), NBITS)[0]), old
    return Found(records, commitment, raw, paid, rewarded, node_over(hashes), earlier)


def mined(data: bytes, nbits: int, others: int = 3) -> tuple[bytes, Msat]:
    """A block at height 840,000 whose coinbase carries data (none: without it), and what it pays."""
    template = parse(answer())
    paid = [CoinbaseOutput(b"\x00\x14" + bytes(20), template.value)]
    coinb1, coinb2 = build_paying(template, paid, Mark(1, 2, 3), b"/Sluice/", data=data)
    coinbase = coinb1 + bytes(12) + coinb2
    transactions = [transaction(n) for n in range(others)]
    root = root_from_branch(
        sha256d(coinbase), branch_beside_coinbase([sha256d(each) for each in transactions])
    )
    head = b"\0\0\0\x20" + bytes(32) + root + bytes(4) + nbits.to_bytes(4, "little")
    headers = (head + nonce.to_bytes(4, "little") for nonce in range(1 << 20))
    header = next(each for each in headers if int(block_hash(each), 16) <= target_from_nbits(nbits))
    return assemble(header, coinbase, transactions), to_msat(template.value)


def transaction(number: int) -> bytes:
    """One that spends something, without witness."""
    spent = bytes([number + 1]) * 32 + bytes(4) + b"\0" + b"\xff" * 4
    return b"\2\0\0\0" + b"\1" + spent + b"\1" + bytes(8) + b"\1\x51" + bytes(4)


def policy(window: int | Fraction = 8, fee_bps: int = 100, scheme: Scheme = Scheme.PPLNS) -> Policy:
    return Policy(Fraction(window), fee_bps, scheme, 210_000 if scheme in AT_ONCE else 0)
