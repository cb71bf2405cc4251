"""JSON-RPC over loopback HTTP, blocking: how the rig asks bitcoind and Electrum."""

from __future__ import annotations

import base64
import http.client
import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from attrs import field, frozen

from pool.regtest.errors import RpcError


@frozen
class Login:
    """A name and a password for one of the rig's programs."""

    user: str
    password: str = field(repr=False)


@frozen
class Endpoint:
    """Where a program listens on loopback, and who is asking."""

    port: int
    login: Login

    @property
    def url(self) -> str:
        """The address without the login, as configuration files want it."""
        return f"http://127.0.0.1:{self.port}"


def call(
    endpoint: Endpoint,
    method: str,
    params: Sequence[Any] | Mapping[str, Any] = (),
    path: str = "/",
    timeout_s: float = 60.0,
) -> Any:  # JSON has no narrower type
    """Ask once, on a connection of its own.

    Numbers with a point come back as Decimal, so that no amount passes through a float.

    Raises:
        RpcError: the program answered with an error, or with something that is not JSON-RPC.
        OSError: nobody listens, or the time is up.
    """
    token = base64.b64encode(f"{endpoint.login.user}:{endpoint.login.password}".encode()).decode()
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}, default=str)
    connection = http.client.HTTPConnection("127.0.0.1", endpoint.port, timeout=timeout_s)
    try:
        headers = {"Authorization": f"Basic {token}", "Content-Type": "application/json"}
        connection.request("POST", path, body, headers)
        response = connection.getresponse()
        return _result(method, response.status, response.read())
    except http.client.HTTPException as error:
        raise RpcError(method, f"the connection broke ({type(error).__name__})", status=0) from error
    finally:
        connection.close()


def _result(method: str, status: int, raw: bytes) -> Any:
    try:
        answer = json.loads(raw, parse_float=Decimal)
    except ValueError:
        raise RpcError(method, f"HTTP {status}", status=status) from None
    error = answer.get("error")
    if isinstance(error, Mapping):
        raise RpcError(method, str(error.get("message")), code=error.get("code"), status=status)
    if error is not None or "result" not in answer:
        raise RpcError(method, str(error), status=status)
    return answer["result"]
