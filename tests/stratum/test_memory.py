"""What is remembered of workers, and for how long."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from stratum import memory as memory_module
from stratum.memory import Memory

TINY: Any = Fraction(1, 2**28)


def test_the_last_word_counts() -> None:
    memory = Memory()
    memory.note(("a", "", "", TINY), TINY, None, 0)
    memory.note(("a", "", "", TINY), 2 * TINY, 3 * TINY, 1)
    found = memory.recall(("a", "", "", TINY), 2)
    assert found is not None
    assert (found.difficulty, found.suggested) == (2 * TINY, 3 * TINY)
    assert memory.recall(("b", "", "", TINY), 2) is None


def test_memory_is_bounded_in_time_and_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_module, "MOST_REMEMBERED", 1)
    memory = Memory()
    memory.note(("a", "", "", TINY), TINY, None, 0)
    memory.note(("b", "", "", TINY), TINY, None, 0)
    assert memory.recall(("a", "", "", TINY), 1) is None
    assert memory.recall(("b", "", "", TINY), memory_module.REMEMBER_S) is not None
    assert memory.recall(("b", "", "", TINY), memory_module.REMEMBER_S + 1) is None
