"""What every node promises the pool, whether it is a real bitcoind or the stand-in.

Subclass ``NodeContract`` in a ``Test…`` class and give it the fixtures ``node`` and ``backstage``; its target
has to be regtest's, so that a block is found in a few hashes.
"""

from __future__ import annotations

import threading
from collections.abc import Coroutine
from typing import Any, Protocol, TypeVar

import attrs
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from payouts.money import Sat
from pool.chain.block import assemble, block_hash
from pool.chain.coinbase import Mark, build, root_from_branch, sha256d
from pool.chain.headers import fault
from pool.chain.merkle import branch_beside_coinbase
from pool.chain.node import Accepted, MiningNode, Node, Refused
from pool.chain.template import Template, without_transactions

T = TypeVar("T")
SCRIPT = bytes.fromhex("0014") + bytes(range(20))
WAIT_S = 30.0


class Backstage(Protocol):
    """What the test does to the network around the node."""

    def add_transaction(self) -> None:
        """One more in the node's mempool."""

    def grow(self) -> str:
        """A block of somebody else's; its hash."""


def now(task: Coroutine[Deferred[Any], Any, T]) -> T:
    """The result of something that needs no reactor, or waits in a thread of its own."""
    outcome: list[Any] = []
    done = threading.Event()
    running = Deferred.fromCoroutine(task)

    def ended(result: object) -> None:
        outcome.append(result)
        done.set()

    running.addBoth(ended)
    assert done.wait(WAIT_S), "no answer in time"
    result = outcome[0]
    if isinstance(result, Failure):
        result.raiseException()
    found: T = result
    return found


def solved(template: Template, job: int = 1, *, good: bool = True, extra: int = 0) -> bytes:
    """A block on this template that meets its target (or, if not good, misses it)."""
    paying = attrs.evolve(template, value=Sat(template.value + extra))
    coinb1, coinb2 = build(paying, SCRIPT, Mark(1, 2, job), b"/test/")
    coinbase = coinb1 + bytes(12) + coinb2
    root = root_from_branch(sha256d(coinbase), branch_beside_coinbase(template.txids))
    head = template.version.to_bytes(4, "little") + template.prev_hash + root
    head += template.curtime_s.to_bytes(4, "little") + template.nbits.to_bytes(4, "little")
    for nonce in range(1 << 16):
        header = head + nonce.to_bytes(4, "little")
        if (int.from_bytes(sha256d(header), "little") <= template.network_target) == good:
            return assemble(header, coinbase, template.transactions)
    raise AssertionError("the target is too hard for a test")


class NodeContract:
    def test_a_block_without_transactions_is_accepted(self, node: Node) -> None:
        template = now(node.template(None))
        block = solved(template)

        assert now(node.submit(block.hex())) == Accepted()

        assert now(node.tip()) == block_hash(block)
        info = now(node.chain_info())
        assert (info.height, info.best_hash) == (template.height, block_hash(block))
        assert (info.chain, info.syncing) == ("regtest", False)

    def test_a_block_with_transactions_is_accepted(self, node: Node, backstage: Backstage) -> None:
        for _ in range(4):
            backstage.add_transaction()
        backstage.grow()  # a node makes a new template at once only when its tip moves
        template = now(node.template(None))
        assert len(template.txids) == len(template.transactions) == 4

        assert now(node.submit(solved(template).hex())) == Accepted()

    def test_the_coinbase_pays_what_was_built_into_it(self, node: Node) -> None:
        template = now(node.template(None))
        block = solved(template)
        now(node.submit(block.hex()))

        paid, commitment = now(node.block_outputs(block_hash(block)))

        assert (paid.script, paid.value) == (SCRIPT, template.value)
        assert (commitment.script, commitment.value) == (template.witness_commitment, 0)

    def test_submitting_again_is_accepted_again(self, node: Node) -> None:
        block = solved(now(node.template(None))).hex()

        assert [now(node.submit(block)), now(node.submit(block))] == [Accepted(), Accepted()]

    def test_a_header_above_the_target_is_refused(self, node: Node) -> None:
        block = solved(now(node.template(None)), good=False)

        assert now(node.submit(block.hex())) == Refused("high-hash")

    def test_a_coinbase_that_pays_itself_too_much_is_refused(self, node: Node) -> None:
        block = solved(now(node.template(None)), extra=1)

        assert now(node.submit(block.hex())) == Refused("bad-cb-amount")

    def test_bytes_that_are_no_block_are_refused(self, node: Node) -> None:
        assert now(node.submit("00" * 10)) == Refused("Block decode failed")

    def test_a_block_to_be_made_is_judged_without_its_work(
        self, node: MiningNode, backstage: Backstage
    ) -> None:
        for _ in range(2):
            backstage.add_transaction()
        backstage.grow()
        template = now(node.template(None))
        assert len(template.txids) == 2

        assert now(node.propose(solved(template, good=False).hex())) == Accepted()
        assert now(node.propose(solved(template, extra=1).hex())) == Refused("bad-cb-amount")
        bare = without_transactions(template, Sat(template.value))
        assert isinstance(now(node.propose(solved(bare, good=False).hex())), Refused)  # the fees are gone

    def test_a_tip_is_proved_by_its_header(self, node: MiningNode) -> None:
        template = now(node.template(None))
        block = solved(template)
        now(node.submit(block.hex()))

        header = now(node.evidence(now(node.tip())))

        assert header is not None
        assert fault(header) is None
        assert (header.raw, header.height) == (block[:80], template.height)
        assert header.prev_hash == template.prev_hash[::-1].hex()
        assert now(node.evidence("ab" * 32)) is None

    def test_a_block_beside_the_tip_is_inconclusive(self, node: Node) -> None:
        template = now(node.template(None))
        first, second = solved(template, 1), solved(template, 2)
        now(node.submit(first.hex()))

        assert now(node.submit(second.hex())) == Refused("inconclusive")

    def test_headers_count_their_confirmations(self, node: Node, backstage: Backstage) -> None:
        template = now(node.template(None))
        block = solved(template)
        now(node.submit(block.hex()))
        backstage.grow()

        header = now(node.header(block_hash(block)))

        assert header is not None
        assert (header.hash, header.height, header.confirmations) == (block_hash(block), template.height, 2)
        assert header.prev_hash == template.prev_hash[::-1].hex()

    def test_an_unknown_header_is_none(self, node: Node) -> None:
        assert now(node.header("ab" * 32)) is None

    def test_a_longpoll_answers_when_the_tip_moves(self, node: Node, backstage: Backstage) -> None:
        template = now(node.template(None))
        waiting = Deferred.fromCoroutine(node.template(template.longpoll_id))
        tip = backstage.grow()

        changed = now(_wait(waiting))

        assert changed.prev_hash[::-1].hex() == tip
        assert changed.height == template.height + 1


async def _wait(answer: Deferred[T]) -> T:
    return await answer
