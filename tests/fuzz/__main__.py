"""Coverage-guided fuzzing of the miners' door: ``python -m tests.fuzz SECONDS``, or ``make fuzz``.

What was found interesting is kept in ~/.cache/sluice/fuzz and taken up by the next run; an input that breaks
something is written there as well, and its path printed: play it again by giving the path instead of SECONDS.
"""

from __future__ import annotations

import sys
from hashlib import sha256
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["stratum"]):
    from tests.fuzz.door import SEEDS, play

HERE = Path.home() / ".cache" / "sluice" / "fuzz"
WORDS = Path(__file__).parent / "stratum.dict"


def main() -> None:
    """Run libFuzzer on the door."""
    what = sys.argv[1] if len(sys.argv) > 1 else "60"
    corpus = HERE / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for seed in SEEDS:
        (corpus / sha256(seed).hexdigest()[:16]).write_bytes(seed)
    arguments = [what] if Path(what).is_file() else [f"-max_total_time={float(what):.0f}", str(corpus)]
    options = ["-max_len=20000", "-timeout=10", "-rss_limit_mb=2048", "-print_final_stats=1"]
    atheris.Setup([sys.argv[0], *options, f"-dict={WORDS}", f"-artifact_prefix={HERE}/", *arguments], play)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
