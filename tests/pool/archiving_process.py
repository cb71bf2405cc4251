"""A process that archives a small log in small files and says what it does, to be killed by a test."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from pool.archiver import Archiver, Pace
from pool.store.archives import FOLDER
from pool.store.archiving import ArchivingStore
from pool.store.database import connect

if __name__ == "__main__":
    directory, last_id = Path(sys.argv[1]), int(sys.argv[2])
    store = ArchivingStore(connect(directory, "shares"))
    pace = Pace(time.sleep, time.perf_counter, rows=16)
    for step in Archiver(store, directory / FOLDER, lambda: 0, pace, 64).run(last_id):
        sys.stdout.write(f"{type(step).__name__}\n")
        sys.stdout.flush()
