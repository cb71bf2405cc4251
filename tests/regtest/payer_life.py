"""How long a payer lives: every step of it is written down, and at the one that is named it kills itself.

The ports of the payout engine are wrapped.  Each call through them that may have an effect is a step before
it and a step after it, and each request to a node is one while its answer is awaited.  So a rehearsal lists
the moments at which a crash could matter, whatever the payer calls.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final

import attrs
from twisted.internet.interfaces import IReactorTime

READS: Final = frozenset(
    {
        "available",
        "claims_taken",
        "flow",
        "knows",
        "open_batches",
        "open_payments",
        "past",
        "payable_onchain",
        "pushes_due",
        "resumed_s",
        "ruled",
        "spent",
        "stopped",
    }
)
"""The book's methods that write nothing; any other, also one that is yet to be written, is two steps."""
_WHILE_S: Final = {"lnpay": (0.02, 0.1, 0.2)}
_WHILE_OTHERS_S: Final = (0.001,)


@attrs.define
class Life:
    """Steps on record.

    Attributes:
        record: file descriptor that steps are written to, one a line.
        die_at: the step at which the process kills itself, the first time that it comes to it.
        die_after: as many steps end the process, wherever it is; for what never ends by itself.
        clock: to die while an answer is awaited.
        within: the port's call that requests belong to.
    """

    record: int
    die_at: str | None
    die_after: int
    clock: IReactorTime
    within: str = ""
    _count: int = 0

    def step(self, what: str, delay_s: float | None = None) -> None:
        """Come to a step; with a delay, the death that may be due comes later."""
        os.write(self.record, f"{what}\n".encode())
        self._count += 1
        if what != self.die_at and self._count < self.die_after:
            return
        if delay_s is None:
            die()
        self.clock.callLater(delay_s or 0, die)


def die() -> None:
    """End as by a power cut."""
    os.kill(os.getpid(), signal.SIGKILL)


class Port:
    """A port of the payout engine whose calls are steps."""

    def __init__(self, name: str, real: object, life: Life) -> None:
        self._name = name
        self._real = real
        self._life = life

    def __getattr__(self, method: str) -> Callable[..., Any]:
        function: Callable[..., Any] = getattr(self._real, method)
        if self._name == "book" and method in READS:
            return function
        where = f"{self._name}.{method}"

        def call(*args: Any, **kwargs: Any) -> Any:
            self._life.step(f"before {where}")
            result = function(*args, **kwargs)
            if isinstance(result, Coroutine):
                return self._awaited(where, result)
            self._life.step(f"after {where}")
            return result

        return call

    async def _awaited(self, where: str, coroutine: Coroutine[Any, Any, Any]) -> Any:
        self._life.within = where
        result = await coroutine
        self._life.step(f"after {where}")
        return result


class Posts:
    """An HTTP client whose requests are steps while they wait for their answer."""

    def __init__(self, real: Any, life: Life) -> None:
        self._real = real
        self._life = life

    def post(self, url: str, json: Mapping[str, object], **how: Any) -> Any:
        """Send it, as treq does."""
        answer = self._real.post(url, json=json, **how)
        method = str(json["method"])
        for delay_s in _WHILE_S.get(method, _WHILE_OTHERS_S):
            self._life.step(f"in {self._life.within}: {delay_s:g} s into {method}", delay_s)
        return answer
