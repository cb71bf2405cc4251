"""What an audit has checked, and what it has found."""

from __future__ import annotations

from collections.abc import Mapping

import attrs


@attrs.frozen
class Report:
    """What was checked, and what was found.

    Attributes:
        checked: how many of what.
        differences: one sentence each; empty when the books are right.
    """

    checked: Mapping[str, int]
    differences: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether the books are right in every point that was checked."""
        return not self.differences

    def lines(self) -> list[str]:
        """The report as text, one line each."""
        counts = [f"checked {count} {what}" for what, count in self.checked.items()]
        verdict = "the books are right" if self.ok else f"{len(self.differences)} differences"
        return [*counts, *(f"DIFFERENCE: {each}" for each in self.differences), verdict]

    def as_json(self) -> dict[str, object]:
        """The report as a JSON-able document."""
        return {"ok": self.ok, "checked": dict(self.checked), "differences": list(self.differences)}
