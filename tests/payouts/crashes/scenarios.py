"""What happens to a payer: what it finds, what goes on around it, and what must have come of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import attrs

from payouts.limits import Limits
from payouts.money import Msat
from payouts.values import BatchState, Ruling
from tests.payouts.crashes.world import ADDRESS, HASH, LONG_S, ONCHAIN, World
from tests.payouts.fakes import Plan
from tests.payouts.invoices import payment_hash


@attrs.frozen
class Scenario:
    """One story.  It is gone through twice: with a payer that may die in it, and with the one after that.

    Attributes:
        name: what happens.
        before: what the payer finds.
        story: what goes on around it; it may be at any stage when it begins.
        expect: beyond what always holds, what must have come of it, wherever a payer died.
        otherwise: it comes to another end than those before it, from where they all are alike.
    """

    name: str
    before: Callable[[World], None]
    story: Callable[[World], None]
    expect: Callable[[World], bool]
    otherwise: bool = False


def _pass(seconds: float, step_s: float = 0.25) -> Callable[[World], None]:
    return lambda world: world.time.pass_s(seconds, step_s)


def _in_turn(*steps: Callable[[World], object]) -> Callable[[World], None]:
    def all_of_them(world: World) -> None:
        for step in steps:
            step(world)

    return all_of_them


def _with(**changes: Any) -> Callable[[World], None]:
    """Change the node."""

    def change(world: World) -> None:
        for name, value in changes.items():
            setattr(world.node, name, value)

    return change


def _claimed(**changes: Any) -> Callable[[World], None]:
    return _in_turn(_with(**changes), lambda world: world.file())


def _large(world: World) -> None:
    world.limits = Limits(approve_above=Msat(500_000))
    world.file()


def _pushed(world: World) -> None:
    world.book.lightning_addresses["alice"] = ADDRESS


def _service_down(world: World) -> None:
    world.service.down = True


def _drifted(world: World) -> None:
    world.limits = Limits(drift=Msat(0))
    world.book.books_msat = world.node.balance_msat + 1
    world.file()


def _fast(world: World) -> None:
    world.limits = Limits(hour_free=Msat(999_999))
    world.file()


def _batch_paid(world: World) -> bool:
    return world.wallet.paid_out() * 1000 == ONCHAIN - 500


def _paid_once(world: World) -> bool:
    return len(world.node.paid) == 1


def _nothing_left(world: World) -> bool:
    return world.node.paid == {} and world.wallet.paid_out() == 0


def _stopped(word: str) -> Callable[[World], bool]:
    return lambda world: _nothing_left(world) and word in str(world.book.stopped())


def _ruled(ruling: Ruling) -> Callable[[World], None]:
    return _in_turn(_pass(2), lambda world: world.rule(ruling), _pass(2))


def _end_held(*, paid: bool) -> Callable[[World], None]:
    """The receiver lets go of what it holds, long after the call that paid."""

    def end(world: World) -> None:
        if HASH in world.node.in_flight:
            world.node.finish(HASH, paid=paid)

    return end


def _bury(depth: int) -> Callable[[World], None]:
    return _in_turn(lambda world: world.wallet.bury(depth), _pass(25, 5))


def _onchain(**changes: Any) -> Callable[[World], None]:
    def before(world: World) -> None:
        world.rail = "onchain"
        for name, value in changes.items():
            setattr(world.wallet, name, value)

    return before


def _restored(world: World) -> None:
    """The batch is in the mempool; the books are from before it left."""
    world.rail = "onchain"
    world.begin()
    world.end()
    world.book.batches[1] = attrs.evolve(world.book.batches[1], state=BatchState.SIGNED)


def _unrefused(world: World) -> None:
    world.wallet.refusal = None


PLAIN: Final = _pass(3)
LONG: Final = _pass(LONG_S, 600)
BURIED: Final = _in_turn(_bury(0), _bury(3), _bury(3))
SCENARIOS: Final = (
    Scenario("a claim is paid", _claimed(), PLAIN, _paid_once),
    Scenario("a claim fails", _claimed(plan=Plan.REFUSE), PLAIN, _nothing_left),
    Scenario("an answer is lost", _claimed(plan=Plan.LOSE_ANSWER), PLAIN, _paid_once),
    Scenario(
        "a request is lost",
        _claimed(plan=Plan.IGNORE),
        _in_turn(PLAIN, _with(plan=Plan.PAY), PLAIN),
        _paid_once,
    ),
    Scenario(
        "a payment is held and settled",
        _claimed(plan=Plan.HANG),
        _in_turn(PLAIN, _end_held(paid=True), PLAIN),
        _paid_once,
    ),
    Scenario(
        "a payment is held and sent back",
        _claimed(plan=Plan.HANG),
        _in_turn(PLAIN, _end_held(paid=False), PLAIN),
        _nothing_left,
        otherwise=True,
    ),
    Scenario(
        "the node goes and comes",
        _claimed(up=False),
        _in_turn(_pass(2), _with(up=True), _pass(2), _with(up=False), _pass(3), _with(up=True), PLAIN),
        lambda world: len(world.node.paid) <= 1,
    ),
    Scenario("an invoice is refused", lambda world: world.file("lnbcrt1nonsense"), PLAIN, _nothing_left),
    Scenario("a claim waits for the node's money", _claimed(balance_msat=0), _pass(6), _nothing_left),
    Scenario("a large claim is approved", _large, _ruled(Ruling.APPROVED), _paid_once),
    Scenario("a large claim is refused", _large, _ruled(Ruling.REFUSED), _nothing_left),
    Scenario("a large claim is left alone", _large, _in_turn(_pass(2), LONG), _nothing_left, otherwise=True),
    Scenario(
        "a lost payment is given up",
        _claimed(plan=Plan.IGNORE),
        _in_turn(_ruled(Ruling.GIVEN_UP), LONG),
        _nothing_left,
        otherwise=True,
    ),
    Scenario("a push is paid", _pushed, PLAIN, _paid_once),
    Scenario("a push fails", _in_turn(_with(plan=Plan.REFUSE), _pushed), PLAIN, _nothing_left),
    Scenario("a push's answer is lost", _in_turn(_with(plan=Plan.LOSE_ANSWER), _pushed), PLAIN, _paid_once),
    Scenario("a service gives nothing", _in_turn(_pushed, _service_down), PLAIN, _nothing_left),
    Scenario(
        "the node has paid what the books lack",
        _claimed(foreign=[payment_hash(9)]),
        PLAIN,
        _stopped("the node has sent"),
    ),
    Scenario("the node has lost money", _drifted, PLAIN, _stopped("drift")),
    Scenario("far too much is asked for", _fast, PLAIN, _stopped("velocity")),
    Scenario("a batch is paid", _onchain(), BURIED, _batch_paid),
    Scenario("the books are older than the network", _restored, BURIED, _batch_paid),
    Scenario(
        "a batch is refused, and the next one is not",
        _onchain(refusal="min relay fee not met"),
        _in_turn(_bury(0), _unrefused, _pass(1_200, 60), BURIED),
        _batch_paid,
    ),
    Scenario("a wrong batch is signed", _onchain(steals=True), _bury(0), _stopped("wrong batch")),
)
