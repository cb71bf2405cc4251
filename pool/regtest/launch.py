"""Run Electrum or its server without the waits that hide traffic: ``launch.py MODULE PORT SCRIPT …``.

Both hold each message back for up to a second, so that an observer of the encrypted line learns less.  On
loopback nobody observes, and opening a channel would take ten seconds instead of two.  MODULE is where their
class for it lives.

With a PORT other than 0 it waits until somebody listens there: Electrum itself tries again only after ten
seconds, and importing it takes long enough to be worth doing meanwhile.  It runs under the program's own
Python, so it imports nothing of ours.
"""

from __future__ import annotations

import importlib
import os
import runpy
import socket
import sys
import time

_HOLD_BACK_S = 0.005
_POLLS = 3000
_POLL_S = 0.02


def _hurry(module: str) -> None:
    transport = getattr(importlib.import_module(module), "PaddedRSTransport", None)
    if transport is not None:  # an older release has no such class, and needs none
        transport.WAIT_FOR_BUFFER_GROWTH_SECONDS = _HOLD_BACK_S


def _import_slow_parts() -> None:
    for module in ("electrum.commands", "electrum.daemon", "electrum.lnworker"):
        importlib.import_module(module)


def _await(port: int) -> None:
    for _ in range(_POLLS):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(_POLL_S)
        else:
            return


def _main() -> None:
    module, port, script = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    sys.argv = sys.argv[3:]
    # our own folder holds modules with the names of theirs
    sys.path[:] = [folder for folder in sys.path if folder != os.path.dirname(__file__)]
    _hurry(module)
    if port:
        _import_slow_parts()
        _await(port)
    runpy.run_path(script, run_name="__main__")


if __name__ == "__main__":
    _main()
