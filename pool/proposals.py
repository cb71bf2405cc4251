"""Proposals: each new template's block is shown to its node before anybody finds it (BIP 23)."""

from __future__ import annotations

from typing import Final, Protocol, assert_never

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from pool.chain.link import Link
from pool.chain.news import NewsObserver
from pool.chain.node import Accepted, Refused, Unanswered
from pool.jobs import Made, unsolved_block

ASK_AFTER_S: Final = 3.0
"""First the miners get the job; a node that is checking a block is slow to take the next one."""

log = Logger()


class Owner(Protocol):
    """Who works on jobs."""

    def is_worked_on(self, made: Made) -> bool:
        """Whether the tip of this job is still the one that is worked on."""
        ...

    def refused(self, link: Link, made: Made, reason: str) -> None:
        """The node would not take the block of its own template."""
        ...


class Proposals:
    """Asks a node about the block of a job, without the proof of work."""

    def __init__(self, owner: Owner, observer: NewsObserver, clock: IReactorTime) -> None:
        """Args: owner: told of refusals; observer: counts the answers; clock: the reactor."""
        self._owner = owner
        self._observer = observer
        self._clock = clock

    def ask(self, link: Link, made: Made) -> None:
        """Ask in a moment, unless the tip has moved by then."""
        link.spawn(self._ask(link, made))

    async def _ask(self, link: Link, made: Made) -> None:
        await deferLater(self._clock, ASK_AFTER_S, lambda: None)
        if not self._owner.is_worked_on(made):
            return
        answer = await link.node.propose(unsolved_block(made).hex())
        match answer:
            case Accepted():
                self._observer.proposed("accepted")
            case Unanswered():  # whoever does not answer is noticed elsewhere
                self._observer.proposed("unanswered")
            case Refused(reason):
                self._judge(link, made, reason)
            case _:
                assert_never(answer)

    def _judge(self, link: Link, made: Made, reason: str) -> None:
        # the node's tip has moved in between: that says nothing about the block
        if reason.startswith("inconclusive") or not self._owner.is_worked_on(made):
            return
        self._observer.proposed("refused")
        log.critical(
            "The node at {node} refused the block of its own template at height {height}: {why}",
            node=link.name,
            height=made.job.height,
            why=reason,
        )
        self._owner.refused(link, made, reason)
