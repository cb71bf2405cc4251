"""Work: news of the nodes become jobs for miners, and solved jobs blocks, on disk and then at the nodes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from pool.chain.coinbase import Payee
from pool.chain.headers import Evidence, Headers
from pool.chain.link import Link, Surroundings
from pool.chain.networks import RULES, subsidy
from pool.chain.news import Moments, NewsObserver, UnobservedNews
from pool.chain.node import MiningNode, SubmitResult
from pool.chain.nodes import Patience, choose
from pool.chain.saved import SavedBlock
from pool.chain.submission import Submitter
from pool.chain.template import Template, without_transactions
from pool.jobs import Jobs, Made, Settings, ahead_of_template
from pool.proposals import Proposals
from pool.solving import Solver
from stratum.jobs import Job
from stratum.ports import Solution

TICK_S: Final = 1.0
DEAD_TIP_S: Final = 10.0
"""After a node has told a new tip, work on the old one is handed out no longer than this."""

log = Logger()


class Work:
    """A stratum.ports.JobFeed that follows one or several nodes; and where its solutions go.

    Attributes:
        template_s: when the newest template came, Unix seconds; None before the first.
        heard_s: when a node last confirmed that our work is on its tip, Unix seconds.
    """

    def __init__(
        self,
        nodes: Sequence[MiningNode],
        payees: Callable[[], Sequence[Payee] | None],
        recorded: Callable[[str, str, SubmitResult], None],
        settings: Settings,
        clock: IReactorTime,
        observer: NewsObserver | None = None,
        fixes: Callable[[], bytes] | None = None,
    ) -> None:
        """Wire it up; nothing is asked before start().

        Args:
            nodes: where templates come from, the preferred one first; blocks go to all of them.
            payees: whom the next job's coinbase pays; None: an address is missing.
            recorded: told (block hash, node name, result); see pool.chain.submission.
            settings: see there.
            clock: the reactor; its seconds are Unix seconds.
            observer: told how news come and how the nodes do.
            fixes: what each next coinbase says for all times; see pool.jobs.
        """
        rules = self._rules = RULES[settings.network]
        self._observer = observer or UnobservedNews()
        self._headers = Headers(rules)
        around = Surroundings(
            clock, rules, self._headers, self._observer, settings.poll_s, settings.failover_s
        )
        self._links = [Link(node, around, self) for node in nodes]
        self._patience = Patience(settings.failover_s, settings.silent_s, settings.return_s)
        self._jobs = Jobs(payees, settings, rules, clock, fixes)
        self._proposals = Proposals(self, self._observer, clock)
        self._submitter = Submitter(nodes, recorded, clock)
        self._solver = Solver(self._jobs, self._submitter, settings.directory, clock)
        self._settings = settings
        self._clock = clock
        self._listeners: list[Callable[[Job], None]] = []
        self._lost_listeners: list[Callable[[], None]] = []
        self._ticking: LoopingCall | None = None
        self._waiting: set[IDelayedCall] = set()
        self._mined_on: int | None = None
        self._newest: Made | None = None
        self._used: Template | None = None
        self._stopgap = False
        self._renew = False
        self._bare_tip = b""
        self._given = False
        self._moved_s: float | None = None
        self._news_s = Moments()
        self._first_on_tip: str | None = None
        self.template_s: float | None = None
        self.heard_s: float | None = None

    # jobs

    def start(self) -> None:
        """Begin to follow the nodes."""
        self._ticking = LoopingCall(self._tick)
        self._ticking.clock = self._clock
        for link in self._links:
            link.start()
        self._ticking.start(TICK_S, now=False)

    def stop(self) -> None:
        """Stop following and submitting; blocks that no node has answered for are on disk."""
        if self._ticking is not None and self._ticking.running:
            self._ticking.stop()
        for link in self._links:
            link.stop()
        for call in self._waiting:
            if call.active():
                call.cancel()
        self._waiting.clear()
        self._submitter.stop()

    def current(self) -> Job | None:
        """The newest job, or None: no template yet, no address to pay, no node that is well."""
        if self._newest is None or self.heard_s is None:
            return None
        now_s = self._clock.seconds()
        if self._moved_s is not None and now_s - self._moved_s > DEAD_TIP_S:
            return None
        return self._newest.job if now_s - self.heard_s <= self._settings.silent_s else None

    def watch(self, listener: Callable[[Job], None]) -> None:
        """Call the listener with each new job, from now on."""
        self._listeners.append(listener)

    def watch_loss(self, listener: Callable[[], None]) -> None:
        """Call the listener whenever there is no work any more: what was handed out is worth nothing.

        When there is work again, it comes as a job to those who watch.
        """
        self._lost_listeners.append(listener)

    def extra(self) -> Job | None:
        """One more job on the newest template, told to nobody; None when there is no work to hand out."""
        if self._newest is None or self.current() is None:
            return None
        made = self._jobs.make(self._newest.template, self._newest.parent, clean=False)
        return None if made is None else made.job

    def news_age_s(self) -> float | None:
        """While the first job on a tip is told: seconds since any node told us of that tip; else None."""
        told_s = None if self._first_on_tip is None else self._news_s.get(self._first_on_tip)
        return None if told_s is None else self._clock.seconds() - told_s

    def wrong_network(self) -> str | None:
        """What to mend when all nodes have said that they are on another network than configured."""
        chains = [None if link.info is None else link.info.chain for link in self._links]
        if not chains or any(chain in (None, self._rules.chain) for chain in chains):
            return None
        return f"the node is on {chains[0]}, node.network says {self._settings.network}: mend one of them"

    # pool.chain.link.Owner

    def told(self, link: Link, tip: str) -> None:
        """See Owner: a job on the new tip shall not wait longer for its template than was configured."""
        now_s = self._clock.seconds()
        self._news_s.note(tip, now_s)
        if self._newest is None or self._is_on(tip):
            return
        if self._moved_s is None and link.standing().trouble is None:
            self._moved_s = now_s
        after_s = self._settings.empty_after_s
        if after_s is not None:
            self._waiting = {call for call in self._waiting if call.active()}
            late = self._clock.callLater(after_s, lambda: link.spawn(self._go_ahead(link, tip)))
            self._waiting.add(late)

    def wants_template(self, link: Link) -> bool:
        """See Owner: only of the node that is mined on; longpolls keep the others' fresh enough."""
        if self._newest is None or self._mined_on is None:
            return self._newest is None
        return link is self._links[self._mined_on] and self._is_due(self._newest)

    def changed(self, link: Link) -> None:
        """See Owner."""
        self._follow()

    def _tick(self) -> None:
        for number, link in enumerate(self._links):
            link.check_news()
            well = link.standing().trouble is None
            self._observer.node_is(link.name, well=well, mined_on=number == self._mined_on)
        self._follow()
        if self._given and self.current() is None:
            self._given = False
            log.critical("No work is left: no node is well, or there is no address to pay")
            for listener in self._lost_listeners:
                listener()

    def _follow(self) -> None:
        """Mine on the best node there is."""
        now_s = self._clock.seconds()
        standings = [link.standing() for link in self._links]
        number = choose(standings, self._mined_on, now_s, self._patience)
        if number is None:
            return
        link, template = self._links[number], self._links[number].template
        if number != self._mined_on:
            log.info("Mining on the templates of {node} from now on", node=link.name)
            self._mined_on = number
        if template is None or (not self._given and link.is_waiting()):
            return
        if self._is_news(link, template):
            self._use(link, template)
        on_it = self._newest is not None and self._newest.job.prev_hash == template.prev_hash
        if on_it and not link.is_waiting():
            self.heard_s, self._moved_s = standings[number].heard_s, None

    def _is_news(self, link: Link, template: Template) -> bool:
        """Whether there has to be a new job because of this template."""
        newest, now_s = self._newest, self._clock.seconds()
        if newest is None or self._renew or not self._given:
            return True
        if newest.job.prev_hash != template.prev_hash:
            # a stopgap is ahead of its node's templates: they take it back only if no better one comes
            behind = self._work_on(template) < self._work_on(newest.template)
            return not (self._stopgap and behind) or now_s - newest.at_s > DEAD_TIP_S
        fresh = template is not self._used and now_s - link.taken_s <= self._settings.poll_s
        return self._stopgap or (fresh and self._is_due(newest))

    def _work_on(self, template: Template) -> int:
        return self._headers.work(template.prev_hash[::-1].hex()) or 0

    def _is_due(self, newest: Made) -> bool:
        """Whether a fresh job is due; half a poll early, since the next one would be more than that late."""
        age_s = self._clock.seconds() - newest.at_s
        return age_s >= self._settings.job_interval_s - self._settings.poll_s * 0.5

    def _is_on(self, tip: str) -> bool:
        return self._newest is not None and self._newest.job.prev_hash[::-1].hex() == tip

    def _use(self, link: Link, template: Template) -> None:
        self._used, self.template_s = template, link.taken_s
        if template.prev_hash == self._bare_tip:
            template = without_transactions(template, subsidy(template.height, self._rules))
        made = self._announce(template, link.parent)
        if made is not None:
            self._proposals.ask(link, made)

    def _announce(self, template: Template, parent: Evidence | None, *, stopgap: bool = False) -> Made | None:
        before = self._newest
        moved = before is None or before.job.prev_hash != template.prev_hash
        clean = moved or self._renew or not self._given
        made = self._newest = self._jobs.make(template, parent, clean=clean)
        self._stopgap, self._renew = stopgap, False
        if made is None:
            return None
        self._given = True
        self._first_on_tip = template.prev_hash[::-1].hex() if moved else None
        for listener in self._listeners:
            listener(made.job)
        self._first_on_tip = None
        return made

    async def _go_ahead(self, link: Link, tip: str) -> None:
        """A job without transactions on a new tip, since its template is late."""
        before = self._newest
        if before is None or self._is_on(tip) or link.standing().trouble is not None:
            return
        parent, _ = await link.prove(tip)
        if parent is None or self._newest is not before:
            return
        now_s = self._clock.seconds()
        template = ahead_of_template(before.template, parent, int(now_s), self._rules)
        if template is not None and self._announce(template, parent, stopgap=True) is not None:
            self.heard_s, self._moved_s = now_s, None
            log.info("A job without transactions was made on {tip}, whose template is late", tip=tip)

    # pool.proposals.Owner

    def is_worked_on(self, made: Made) -> bool:
        """See Owner."""
        return self._newest is not None and self._newest.job.prev_hash == made.job.prev_hash

    def refused(self, link: Link, made: Made, reason: str) -> None:
        """See Owner: another node's templates, else this one's without transactions, else nothing."""
        self._renew = True
        others = [each.standing() for each in self._links if each is not link]
        able = choose(others, None, self._clock.seconds(), self._patience) is not None
        if made.template.transactions and not able:
            self._bare_tip = made.job.prev_hash
            self._follow()
            return
        self._newest = None
        link.refuse(made.template, reason)  # calls changed(), which finds another node or none

    # blocks

    def solve(self, solution: Solution) -> SavedBlock | None:
        """See pool.solving.Solver."""
        return self._solver.solve(solution)

    def submit(self, found: SavedBlock) -> None:
        """Hand a block to every node again and again until it answers; also for saved ones at start."""
        self._submitter.submit(found)
