"""What every test shares: Hypothesis without a stopwatch, since the machine may be busy with others."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("shared-machine", deadline=None)
settings.load_profile("shared-machine")
