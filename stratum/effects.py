"""What a connection wants done: the values that a session answers with, in order."""

from __future__ import annotations

import attrs
import msgspec

from stratum.errors import Code
from stratum.ports import Share, Solution


class Credit(msgspec.Struct, frozen=True, gc=False):
    """Make this share durable, then answer ``request_id`` with true; if that fails, forget ``digest``."""

    request_id: bytes
    share: Share
    digest: bytes


@attrs.frozen
class Refusal:
    """A rejected submission: the line to send, and the code for whoever counts."""

    line: bytes
    code: Code


@attrs.frozen
class FreshJob:
    """Put the miner on a job that it has not seen, at once: the difficulty cannot wait, or it came back.

    What is written before this one goes out before the job.
    """


class Prompt(bytes):
    """A line that goes out at once, also before replies that wait for the disk."""

    __slots__ = ()


Effect = bytes | Credit | Refusal | Solution | FreshJob
"""``bytes`` are lines to send."""
