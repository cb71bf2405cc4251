"""What can go wrong with the real programs of the rig, each with the line that a person needs."""

from __future__ import annotations

from pool.errors import PoolError


class RigError(PoolError):
    """A program of the rig did not do what the demo or a test needs."""


class ToolMissing(RigError):
    """Something that this machine must bring itself is not there; the text says what to install."""


class NotReady(RigError):
    """A program was not ready by its deadline, or died; the text names its log and shows the last lines."""


class RpcError(RigError):
    """A program answered a call with an error.

    Attributes:
        code: the JSON-RPC error code, or None when there was none.
        status: the HTTP status; bitcoind answers 403 when a user's whitelist lacks the method.
    """

    def __init__(self, method: str, message: str, *, code: int | None = None, status: int = 200) -> None:
        super().__init__(f"{method}: {message}")
        self.code = code
        self.status = status
