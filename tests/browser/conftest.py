"""Without a Chromium the pages' tests are left out, and the end of the run says so."""

from __future__ import annotations

import pytest

from tests.browser.chromium import find

collect_ignore_glob = [] if find() else ["test_*.py"]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what did not run, and what would make it run."""
    if collect_ignore_glob:
        terminalreporter.write_line(
            "tests/browser left out: no chromium, chromium-browser or google-chrome on the PATH, and no"
            " $SLUICE_CHROMIUM (tests/pool/test_web_withdraw.py reads the page's QR code without one)"
        )
