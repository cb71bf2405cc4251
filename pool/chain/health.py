"""What speaks against a node: troubles, which forbid mining on it, and weaknesses, which others lack."""

from __future__ import annotations

from typing import Final

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from pool.chain.headers import Evidence
from pool.chain.networks import Rules
from pool.chain.node import ChainInfo
from pool.chain.nodes import Standing
from pool.chain.template import Template

OLD_TIP_S: Final = 3 * 3600.0
CLOCK_OFF_S: Final = 3600.0
UNASKED: Final = "was not asked for its chain yet"

log = Logger()


class Health:
    """One node's; every change is logged once."""

    def __init__(self, node: str, failover_s: float, clock: IReactorTime) -> None:
        """Args: node: its name; failover_s: a longer silence than this is an illness; clock: the reactor."""
        self._node = node
        self._failover_s = failover_s
        self._clock = clock
        self._troubles: dict[str, str] = {"chain": UNASKED}
        self._weakness: str | None = None
        self._heard_s: float | None = None
        self._well_since_s: float | None = None

    def standing(self, work: int | None) -> Standing:
        """What the choice among nodes goes by.  Args: work: see Standing."""
        trouble = next(iter(self._troubles.values()), None)
        return Standing(work, self._heard_s, trouble, self._weakness, self._well_since_s)

    def has(self, *kinds: str) -> bool:
        """Whether there is a trouble of one of these kinds."""
        return any(kind in self._troubles for kind in kinds)

    def heard(self) -> None:
        """It answered, whatever it said."""
        now_s = self._clock.seconds()
        silent = self._heard_s is None or now_s - self._heard_s > self._failover_s
        if silent and not self._troubles:
            self._well_since_s = now_s  # it has to prove itself again
        self._heard_s = now_s

    def trouble(self, kind: str, why: str | None) -> None:
        """There is a trouble of some kind, in words that follow on "it", or (None) there is none any more."""
        before = self._troubles.pop(kind, None)
        if why is not None:
            self._troubles[kind] = why
            self._well_since_s = None
            if why != before:
                log.error("The node at {node} cannot be mined on: it {why}", node=self._node, why=why)
            return
        if not self._troubles and self._well_since_s is None:
            self._well_since_s = self._clock.seconds()
        if before not in (None, UNASKED):
            log.info("The node at {node} has mended: it no longer {why}", node=self._node, why=before)

    def weakness(self, why: str | None) -> None:
        """There is a weakness, in words that follow on "it", or none."""
        if why is not None and self._weakness is None:
            log.warn(
                "The node at {node} is mined on only without a better one: it {why}", node=self._node, why=why
            )
        self._weakness = why


def weakness_of(
    info: ChainInfo,
    peers: int,
    template: Template | None,
    parent: Evidence | None,
    now_s: float,
    rules: Rules,
) -> str | None:
    """Why another node is better than this one, if there is another one.

    Args:
        info: what it said of its chain.
        peers: how many nodes it is connected to.
        template: its newest.
        parent: the header of its tip.
        now_s: Unix seconds.
        rules: of the network.
    """
    if peers == 0:
        return "has no peers"
    if info.headers > info.height + 1:
        return "knows of blocks that it does not have yet"
    if rules.quiet:
        return None
    if template is not None and abs(template.curtime_s - now_s) > CLOCK_OFF_S:
        return "has a clock that differs from ours by more than an hour"
    if parent is not None and now_s - parent.time_s > OLD_TIP_S:
        return "has seen no block for hours"
    return None
