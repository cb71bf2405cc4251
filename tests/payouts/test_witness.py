"""Asking payees' services: behind all else, counted before they hear, and no URL in the log."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import pytest
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs

from payouts.outbound import Fetched
from payouts.places import NotFetched
from payouts.testimony import Question, Said
from payouts.witness import Witness, WitnessOptions
from tests.payouts.invoices import invoice, payment_hash, preimage

URL = "https://t0psecret.example.com/verify/t0psecret"
NOW_MS = 1_800_000_000_000
ASKED = Question(7, URL, invoice(1), payment_hash(1), 2)
PROOF = Fetched({"status": "OK", "settled": True, "preimage": preimage(1), "pr": invoice(1)})


@attrs.define
class World:
    """A book that has somebody to ask, services that answer when they are let, and what happened."""

    due: list[Question] = attrs.Factory(lambda: [ASKED])
    answer: Fetched | NotFetched | None = PROOF
    events: list[tuple[object, ...]] = attrs.Factory(list)
    waiting: list[Deferred[Fetched | NotFetched]] = attrs.Factory(list)
    busy: bool = False

    def to_ask(self, begun_before_ms: int, now_ms: int, limit: int) -> Sequence[Question]:
        assert (begun_before_ms, now_ms) == (NOW_MS - 3_600_000, NOW_MS)
        return self.due[:limit]

    def asking(self, question: Question, next_ms: int) -> None:
        self.events.append(("asking", question.payment_id, next_ms - NOW_MS))

    def heard(self, question: Question, said: Said, now_ms: int) -> None:
        self.events.append(("heard", question.payment_id, said, now_ms))

    async def fetch(self, url: str) -> Fetched | NotFetched:
        assert url == URL
        self.events.append(("get",))
        if self.answer is not None:
            return self.answer
        self.waiting.append(Deferred())
        return await self.waiting[-1]

    def witness(self) -> Witness:
        return Witness(self, self, lambda: NOW_MS, WitnessOptions(3_600_000, lambda: self.busy))

    def look(self, witness: Witness | None = None) -> Deferred[None]:
        return Deferred.fromCoroutine((witness or self.witness()).look())


def test_a_service_has_its_pause_on_disk_before_it_is_asked() -> None:
    world = World()
    assert world.look().called
    assert world.events == [("asking", 7, 2_400_000), ("get",), ("heard", 7, Said.PROVED, NOW_MS)]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (NotFetched("t0psecret.example.com took too long"), Said.NO_ANSWER),
        (Fetched(None), Said.NO_SENSE),
        (PROOF, Said.PROVED),
    ],
)
def test_what_was_said_is_written_down_and_neither_url_nor_proof_is_in_the_log(
    answer: Fetched | NotFetched, said: Said
) -> None:
    world = World(answer=answer)
    with capturedLogs() as events:
        world.look()
    assert world.events[-1] == ("heard", 7, said, NOW_MS)
    assert [(event["id"], event["said"]) for event in events] == [(7, said.value)]
    assert "t0psecret" not in repr((events, ASKED))
    assert preimage(1) not in repr(events)


def test_claims_go_first_few_are_asked_at_once_and_one_round_ends_before_the_next() -> None:
    world = World(due=[attrs.evolve(ASKED, payment_id=number) for number in range(9)], answer=None, busy=True)
    witness = world.witness()
    world.look(witness)
    assert world.events == []
    world.busy = False
    looking = world.look(witness)
    assert world.look(witness).called
    assert len(world.waiting) == 3
    for each in world.waiting:
        each.callback(PROOF)
    assert looking.called


def test_a_stopped_payer_writes_nothing_more() -> None:
    world = World(answer=None)
    witness = world.witness()
    with capturedLogs() as events:
        looking = world.look(witness)
        witness.stop()
        assert looking.called
        world.look(witness)
    assert world.events == [("asking", 7, 2_400_000), ("get",)]
    assert events == []
