"""The moments at which a payer can die, read from its own source, and those at which one has died.

A *point* is an ``await``, or a call of a port that is not awaited (the books': each is a transaction).  They
are taken from the syntax tree, so a new one is among them as soon as it is written.  A process that dies is
at one point of each function that is under way: which, its stack tells.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Coroutine, Hashable
from functools import cache
from itertools import islice
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final, TypeVar

import attrs
from twisted.internet.defer import CancelledError

T = TypeVar("T")
ROOT: Final = Path(__file__).parents[3]
PORTS: Final = frozenset({"_book", "_inbox", "_node", "_strangers", "_wallet", "_http"})
"""What ports are called in the payer's modules; a call of one that is called otherwise is found out."""


@attrs.frozen(order=True)
class Point:
    """The end of an expression: an await ends where what it waits for does, so the two are one.

    Attributes:
        module: path from the root of the project.
        line: from one.
        column: in bytes, from zero.
    """

    module: str
    line: int
    column: int

    def __str__(self) -> str:
        source = (ROOT / self.module).read_text(encoding="utf-8").splitlines()[self.line - 1]
        return f"{self.module}:{self.line}: {source.strip()}"


def points_of(module: str) -> frozenset[Point]:
    """Every point of a module."""
    return points_in((ROOT / module).read_text(encoding="utf-8"), module)


def points_in(source: str, module: str) -> frozenset[Point]:
    """Every point of a module with this source."""
    nodes = list(ast.walk(ast.parse(source)))
    loops = [
        node.iter for node in nodes if isinstance(node, ast.AsyncFor | ast.comprehension) and _waits(node)
    ]
    withs = [item.context_expr for node in nodes if isinstance(node, ast.AsyncWith) for item in node.items]
    calls = [node for node in nodes if isinstance(node, ast.Call) and _is_of_a_port(node.func)]
    waits = [node for node in nodes if isinstance(node, ast.Await)]
    return frozenset(
        Point(module, node.end_lineno or 0, node.end_col_offset or 0)
        for node in (*loops, *withs, *calls, *waits)
    )


def _waits(loop: ast.AsyncFor | ast.comprehension) -> bool:
    return isinstance(loop, ast.AsyncFor) or bool(loop.is_async)


def _is_of_a_port(function: ast.expr) -> bool:
    return (
        isinstance(function, ast.Attribute)
        and isinstance(function.value, ast.Attribute)
        and function.value.attr in PORTS
    )


def awaits(module: str) -> bool:
    """Whether a module waits for anything."""
    tree = ast.parse((ROOT / module).read_text(encoding="utf-8"))
    return any(isinstance(node, ast.Await) for node in ast.walk(tree))


def here(modules: frozenset[str]) -> tuple[Point, ...]:
    """Where each function of these modules is that is under way now, innermost first."""
    frame: FrameType | None = sys._getframe(1)
    found: list[Point] = []
    while frame is not None:
        module = _module(frame.f_code)
        if module in modules:
            found.append(_point(module, frame.f_code, frame.f_lasti))
        frame = frame.f_back
    return tuple(found)


@cache
def _module(code: CodeType) -> str:
    path = Path(code.co_filename)
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else ""


@cache
def _point(module: str, code: CodeType, instruction: int) -> Point:
    """Where the expression ends that an instruction (they are two bytes long) belongs to."""
    position = next(islice(code.co_positions(), instruction // 2, None))
    return Point(module, position[1] or 0, position[3] or 0)


class Died(CancelledError):
    """The process is gone.  A cancelled coroutine is the one that the payer lets end without a word."""


@attrs.frozen
class Step:
    """A moment of a process.

    Attributes:
        when: whether a call was about to be made, or had had its effect, or the process began to wait.
        where: where it was.
        around: how things stood outside of it.
    """

    when: str
    where: tuple[Point, ...]
    around: Hashable


@attrs.define
class Life:
    """How long a process lives, and what it comes to.

    Attributes:
        modules: whose points count.
        around: tells how things stand.
        ends_at: the number of the step at which it dies; None: it lives on.
        steps: what it came to; of one that dies, the last.
    """

    modules: frozenset[str]
    around: Callable[[], Hashable]
    ends_at: int | None = None
    steps: list[Step] = attrs.Factory(list)
    dead: bool = False
    count: int = 0

    def step(self, when: str) -> None:
        """Come to a step, and perhaps die."""
        if self.dead:
            raise Died
        if self.ends_at in (None, self.count):
            self.steps.append(Step(when, here(self.modules), self.around()))
        self.dead = self.count == self.ends_at
        self.count += 1
        if self.dead:
            raise Died


@attrs.frozen
class Mortal:
    """A port of a process: it may die before each call and after it, and the dead reach nothing."""

    real: Any
    life: Life

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self.real, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            self.life.step("before")
            result = method(*args, **kwargs)
            if isinstance(result, Coroutine):
                return self._awaited(result)
            self.life.step("after")
            return result

        return call

    async def _awaited(self, coroutine: Coroutine[Any, Any, T]) -> T:
        result = await coroutine
        self.life.step("after")
        return result


@attrs.frozen
class MortalClock:
    """A clock: its process may die whenever it begins to wait, and nobody wakes the dead."""

    real: Any
    life: Life

    def seconds(self) -> float:
        return float(self.real.seconds())

    def callLater(self, delay: float, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        self.life.step("waiting")
        return self.real.callLater(delay, self._unless_dead, function, args, kwargs)

    def _unless_dead(self, function: Callable[..., Any], args: Any, kwargs: Any) -> None:
        if not self.life.dead:
            function(*args, **kwargs)
