"""A node as a front follows it: its news by three ways, its newest template, and what speaks against it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Final, Protocol

import attrs
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from pool.chain.headers import Evidence, Headers
from pool.chain.health import Health, weakness_of
from pool.chain.networks import Rules
from pool.chain.news import LONGPOLL, POLL, ZMQ, NewsObserver, Race
from pool.chain.node import ChainInfo, ChainRefused, MiningNode, WrongCredentials
from pool.chain.nodes import Standing
from pool.chain.persistence import for_ever
from pool.chain.template import Template, TemplateError
from pool.chain.tips import prove
from pool.errors import ChainError

LOOK_EVERY_S: Final = 5.0
LONGPOLL_GRACE_S: Final = 1.0
"""A waiting longpoll brings a new tip's template by itself; asking beside it at once would make the node send
megabytes twice just when they are wanted soonest."""
FIRST_LOOK_S: Final = 0.1

log = Logger()


class Owner(Protocol):
    """Who follows nodes."""

    def told(self, link: Link, tip: str) -> None:
        """A node told a tip that it had not told before (display-order hash)."""
        ...

    def changed(self, link: Link) -> None:
        """Something about a node may have changed: its template, its trouble, or that it answered."""
        ...

    def wants_template(self, link: Link) -> bool:
        """Whether the node is to be asked for new transactions on the same tip."""
        ...


@attrs.frozen
class Surroundings:
    """What the links of a front have in common."""

    clock: IReactorTime
    rules: Rules
    headers: Headers
    observer: NewsObserver
    poll_s: float
    failover_s: float


class Link:
    """One node, followed.

    Attributes:
        node: the node.
        template: its newest template whose tip was proven; None before the first.
        parent: the header that the template builds on.
        taken_s: when that template came.
        info: what it last said of its chain.
    """

    def __init__(self, node: MiningNode, around: Surroundings, owner: Owner) -> None:
        """Wire it up; nothing is asked before start()."""
        self.node = node
        self.template: Template | None = None
        self.parent: Evidence | None = None
        self.taken_s = 0.0
        self.info: ChainInfo | None = None
        self._around = around
        self._clock = around.clock
        self._owner = owner
        self._race = Race(node.name, around.observer)
        self._running: list[Deferred[None]] = []
        self._health = Health(node.name, around.failover_s, around.clock)
        self._look_at_s = 0.0
        self._asked = 0
        self._taken = 0
        self._refused_tip = b""
        self._told_tip = ""
        self._unsubscribe: Callable[[], None] | None = None
        self._longpolling: Deferred[Template] | None = None
        self._renewing = False

    @property
    def name(self) -> str:
        """Of the node."""
        return self.node.name

    def standing(self) -> Standing:
        """What the choice among nodes goes by."""
        work = None if self.parent is None else self._around.headers.work(self.parent.hash)
        return self._health.standing(work)

    def is_waiting_for(self, tip: str) -> bool:
        """Whether the node told this tip (display order) but has not given a template on it."""
        return self.template is None or self.template.prev_hash[::-1].hex() != tip

    def is_waiting(self) -> bool:
        """Whether the template on the tip that it told last has not come yet."""
        return self.is_waiting_for(self._told_tip)

    def start(self) -> None:
        """Begin to follow."""
        name = self.name
        self.spawn(
            for_ever(self._clock, f"Asking the node at {name} for its tip", self._poll, self._around.poll_s)
        )
        self.spawn(for_ever(self._clock, f"Waiting for the next template of {name}", self._longpoll, 0.0))
        self.spawn(self._subscribe())

    def stop(self) -> None:
        """Stop following."""
        running, self._running = self._running, []
        for task in running:
            task.cancel()
        self._end_subscription()

    def spawn(self, task: Coroutine[Deferred[Any], Any, None]) -> None:
        """Run something until it ends or the link is stopped."""
        running = Deferred.fromCoroutine(task)
        self._running.append(running)
        running.addErrback(_log_unless_expected)
        running.addBoth(lambda _: self._running.remove(running) if running in self._running else None)

    def check_news(self) -> None:
        """Look whether a source has stalled, and set it up anew."""
        for source in self._race.check(self._clock.seconds()):
            if source == ZMQ:
                self._end_subscription()
                self.spawn(self._subscribe())
            elif source == LONGPOLL and self._longpolling is not None:
                self._renewing = True
                self._longpolling.cancel()

    def refuse(self, template: Template, reason: str) -> None:
        """The node would not take a block of its own template: none of its templates on this tip is used."""
        self._refused_tip = template.prev_hash
        self._health.trouble("proposal", f"refuses blocks of its own template: {reason}")
        self._owner.changed(self)

    async def _look(self) -> None:
        """Its chain, its progress, its peers."""
        rules = self._around.rules
        info = self.info = await self.node.chain_info()
        wrong = None if info.chain == rules.chain else f"is on {info.chain}, not on {rules.chain}"
        self._health.trouble("sync", "is downloading the chain" if info.syncing and not rules.quiet else None)
        self._health.trouble("chain", wrong)
        peers = 1 if rules.quiet or wrong else await self._peers()
        now_s = self._clock.seconds()
        self._health.weakness(weakness_of(info, peers, self.template, self.parent, now_s, rules))
        self._owner.changed(self)

    async def _peers(self) -> int:
        try:
            return await self.node.peers()
        except (ChainRefused, WrongCredentials):  # it may be asked for work, but not for this
            return 1

    # news

    def _tell(self, source: str, tip: str) -> None:
        self._told_tip = tip
        if self._race.told(source, tip, self._clock.seconds()):
            self._owner.told(self, tip)

    async def _poll(self) -> None:
        if self._clock.seconds() >= self._look_at_s:
            await self._look()
            self._look_at_s = self._clock.seconds() + LOOK_EVERY_S
        tip = await self.node.tip()
        self._health.heard()
        self._tell(POLL, tip)
        if self.is_waiting_for(tip):
            await self._pursue(tip)
        elif self._health.has("tip", "template") or self._owner.wants_template(self):
            await self._fetch()
        else:
            self._owner.changed(self)

    async def _pursue(self, tip: str) -> None:
        """Get the template on a new tip: the longpoll's, if that works, else by asking for it."""
        if self._longpolling is not None and not self._race.is_stalled(LONGPOLL):
            await deferLater(self._clock, LONGPOLL_GRACE_S, lambda: None)
        if self.is_waiting_for(tip):
            await self._fetch()

    async def _longpoll(self) -> None:
        if self.template is None:  # the poll brings the first one
            await deferLater(self._clock, min(self._around.poll_s, FIRST_LOOK_S), lambda: None)
            return
        known = self.template.longpoll_id
        if known is None:  # the node offers none: the others have to do
            self._race.leave(LONGPOLL)
            await deferLater(self._clock, self._around.poll_s, lambda: None)
            return
        self._race.join(LONGPOLL)
        template = await self._wait_for_longpoll(known)
        if template is None:
            return
        self._health.heard()
        self._tell(LONGPOLL, template.prev_hash[::-1].hex())
        await self._take(template, self._next())
        if template.longpoll_id == known:  # it answers without news: asking on at once would never end
            await deferLater(self._clock, self._around.poll_s, lambda: None)

    async def _wait_for_longpoll(self, known: str) -> Template | None:
        """The next template, or None when the longpoll was hung up to be set up anew."""
        self._longpolling = Deferred.fromCoroutine(self.node.template(known))
        try:
            return await self._longpolling
        except CancelledError:
            if self._renewing:
                return None
            raise
        finally:
            self._longpolling, self._renewing = None, False

    async def _subscribe(self) -> None:
        while True:
            try:
                self._unsubscribe = await self.node.subscribe(self._published)
            except ChainError:  # the poll tells of it
                await deferLater(self._clock, LOOK_EVERY_S, lambda: None)
            else:
                break
        if self._unsubscribe is not None:
            self._race.join(ZMQ)

    def _published(self, tip: str) -> None:
        self._health.heard()
        self._tell(ZMQ, tip)
        if self.is_waiting_for(tip):
            self.spawn(self._pursue(tip))

    def _end_subscription(self) -> None:
        end, self._unsubscribe = self._unsubscribe, None
        if end is not None:
            end()

    # templates

    def _next(self) -> int:
        """Requests are numbered: what was asked for later is newer, in whatever order answers come."""
        self._asked += 1
        return self._asked

    async def _fetch(self) -> None:
        number = self._next()
        try:
            template = await self.node.template(None)
        except (TemplateError, ChainRefused) as error:
            self._health.trouble("template", f"gives no template that can be mined on: {error}")
            self._owner.changed(self)
            raise
        self._health.heard()
        await self._take(template, number)

    async def _take(self, template: Template, number: int) -> None:
        """Use a template, once its tip is proven and unless a newer one has come."""
        parent, wrong = await self.prove(template.prev_hash[::-1].hex())
        if number < self._taken:
            return
        self._taken = number
        self._health.trouble("template", None)
        if parent is not None and template.height != parent.height + 1:
            wrong = "gives a template of another height than its tip's"
        self._health.trouble("tip", wrong)
        if wrong is None:
            if template.prev_hash != self._refused_tip:
                self._health.trouble("proposal", None)
            self.template, self.parent, self.taken_s = template, parent, self._clock.seconds()
        self._owner.changed(self)

    async def prove(self, tip: str) -> tuple[Evidence | None, str | None]:
        """See pool.chain.tips.prove."""
        if self.parent is not None and self.parent.hash == tip:
            return self.parent, None
        return await prove(self.node, tip, self._around.headers)


def _log_unless_expected(failure: Any) -> None:
    if failure.check(CancelledError) is not None:
        return
    if failure.check(ChainError) is not None:  # the poll says so too, and tries again
        log.debug("Following news ended: {why}", why=str(failure.value))
        return
    log.failure("Following the node ended", failure)
