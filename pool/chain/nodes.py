"""Which of several nodes is mined on: the one with the most proven work that is well, without flapping."""

from __future__ import annotations

from collections.abc import Sequence

import attrs


@attrs.frozen
class Standing:
    """What is known of a node at one moment.

    Attributes:
        work: of the tip that its newest template builds on, proven; None when it has none.
        heard_s: when it last answered; None: never.
        trouble: why it must not be mined on; None: it may be.
        weakness: why another one is better; None: it is whole.
        well_since_s: since when it has had no trouble and has answered; None when it has not.
    """

    work: int | None
    heard_s: float | None
    trouble: str | None
    weakness: str | None
    well_since_s: float | None


@attrs.frozen
class Patience:
    """How long what is put up with.

    Attributes:
        failover_s: a node that has not answered for so long is left, when another one is well.
        silent_s: for so long the best tip that was seen is still the best, and the work on it goes on.
        return_s: a node that was left is taken again when it has been well for so long.
    """

    failover_s: float = 5.0
    silent_s: float = 60.0
    return_s: float = 30.0


def choose(
    nodes: Sequence[Standing], current: int | None, now_s: float, patience: Patience = Patience()
) -> int | None:
    """The node to mine on.

    Args:
        nodes: in the order in which they are preferred.
        current: the one that is mined on now.
        now_s: of the clock.
        patience: see there.

    Returns:
        Its number; None when there is none: what is being mined stays right until it has become too old.
    """
    known = [
        (number, node, node.work, now_s - node.heard_s)
        for number, node in enumerate(nodes)
        if node.trouble is None and node.work is not None and node.heard_s is not None
    ]
    most = max((work for _, _, work, age_s in known if age_s <= patience.silent_s), default=None)
    able = [number for number, _, work, age_s in known if work == most and age_s <= patience.failover_s]
    able = [number for number in able if nodes[number].weakness is None] or able
    settled = [number for number in able if number == current or _settled(nodes[number], now_s, patience)]
    return next(iter(settled or able), None)


def _settled(node: Standing, now_s: float, patience: Patience) -> bool:
    return node.well_since_s is not None and now_s - node.well_since_s >= patience.return_s
