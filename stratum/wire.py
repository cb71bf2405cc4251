"""Stratum V1 as it stands on the wire: lines of JSON to frozen messages, and replies to bytes.

Nothing that a peer sends raises out of here: what cannot be read becomes a ``Malformed`` with a reason.
"""

from __future__ import annotations

from binascii import Error as HexError
from binascii import unhexlify
from collections.abc import Callable
from functools import lru_cache
from struct import Struct as Layout
from typing import Any, Final

import msgspec

from stratum import wishes
from stratum.errors import Code
from stratum.firmware import UNKNOWN, Firmware
from stratum.options import MAX_USERNAME_CHARACTERS
from stratum.units import Difficulty

NO_ID: Final = b"null"
VERSION_REQUEST: Final = b"2147483647"
"""The id of our ``client.get_version``, the only thing that we ask; a number, as cgminer needs it."""
MAX_AGENT_CHARACTERS: Final = 128
_MAX_ID_BYTES = 64
_ID_STARTS = frozenset(b'"-0123456789n')
_TWO_WORDS = Layout(">II")


class Submit(msgspec.Struct, frozen=True, gc=False):
    """A submission; ``id`` is here and everywhere the JSON text of the request's id, to be echoed."""

    id: bytes
    worker: str
    job_id: str
    extranonce2: bytes
    ntime: int
    nonce: int
    version_bits: int | None


class Configure(msgspec.Struct, frozen=True):
    """BIP 310: extensions asked for, and their parameters."""

    id: bytes
    extensions: tuple[str, ...]
    parameters: dict[str, object]


class Subscribe(msgspec.Struct, frozen=True):
    """The miner introduces itself, and may name the session that it had."""

    id: bytes
    user_agent: str
    session_id: bytes | None = None


class Authorize(msgspec.Struct, frozen=True):
    """A username for this connection.  The password carries wishes only, and is kept out of repr and logs."""

    id: bytes
    username: str
    password: str

    def __repr__(self) -> str:
        """Without the password."""
        return f"Authorize(id={self.id!r}, username={self.username!r})"


class Suggest(msgspec.Struct, frozen=True):
    """A difficulty that the miner would like (``suggest_difficulty`` or ``suggest_target``)."""

    id: bytes
    difficulty: Difficulty


class Plain(msgspec.Struct, frozen=True):
    """A request whose parameters do not matter; ``method`` may be unknown to us."""

    id: bytes
    method: str


class Malformed(msgspec.Struct, frozen=True):
    """Not a request; the reason is for the miner's log.  ``id`` is the request's where it could be read."""

    id: bytes
    reason: str


class Answer(msgspec.Struct, frozen=True):
    """The miner answers something; ``text`` is what it says to ``client.get_version``, else empty."""

    text: str = ""


Request = Configure | Subscribe | Authorize | Suggest | Plain | Malformed | Answer
Message = Submit | Request


class _Envelope(msgspec.Struct, gc=False):
    method: str | None = None
    params: Any = None
    result: msgspec.Raw = msgspec.Raw()
    id: msgspec.Raw = msgspec.Raw(NO_ID)


class _OnlyId(msgspec.Struct):
    id: msgspec.Raw = msgspec.Raw(NO_ID)


_decode_envelope = msgspec.json.Decoder(_Envelope).decode
_decode_id = msgspec.json.Decoder(_OnlyId).decode
_decode_text = msgspec.json.Decoder(str).decode
_encode = msgspec.json.Encoder().encode
# RecursionError: nesting; ValueError: integers beyond Python's digit limit, broken UTF-8
_UNREADABLE = (msgspec.DecodeError, ValueError, RecursionError)


def parse(line: bytes, firmware: Firmware = UNKNOWN) -> Message:
    """Read one line (without its newline) as this machine writes it."""
    try:
        envelope = _decode_envelope(line)
    except _UNREADABLE:
        return Malformed(_rescued_id(line), "Not a JSON-RPC request")
    request_id = bytes(envelope.id)
    if not _echoable(request_id):
        return Malformed(NO_ID, "The id must be a number, a short string or null")
    method = envelope.method
    if method is None or method == "pong":  # ESP-Miner answers a ping with a request
        return _answer(request_id, envelope.result)
    params = [] if envelope.params is None else envelope.params
    if type(params) is not list:
        return Malformed(request_id, "params must be an array")
    if method == "mining.submit":
        return _submit(request_id, params, firmware)
    reader = _READERS.get(method)
    return Plain(request_id, method) if reader is None else reader(request_id, params)


def _rescued_id(line: bytes) -> bytes:
    """The id of a request of which something else is wrong."""
    try:
        request_id = bytes(_decode_id(line).id)
    except _UNREADABLE:
        return NO_ID
    return request_id if _echoable(request_id) else NO_ID


def _echoable(request_id: bytes) -> bool:
    first = request_id[0]
    if first not in _ID_STARTS or len(request_id) > _MAX_ID_BYTES:
        return False
    if first != 0x22:
        return True
    try:
        request_id.decode()
    except UnicodeDecodeError:
        return False
    return True


def _answer(request_id: bytes, result_text: msgspec.Raw) -> Answer:
    if request_id != VERSION_REQUEST:
        return Answer()
    try:
        text = _decode_text(result_text)
    except _UNREADABLE:
        return Answer()
    return Answer(text[:MAX_AGENT_CHARACTERS])


def _submit(request_id: bytes, params: list[Any], firmware: Firmware) -> Submit | Malformed:
    try:
        worker, job_id, extranonce2, ntime, nonce = params[:5]
        bits = params[5] if len(params) > 5 else None
        if firmware.short_nonce and nonce:
            nonce = nonce.zfill(8)
        if len(ntime) != 8 or len(nonce) != 8 or type(worker) is not str or type(job_id) is not str:
            return Malformed(request_id, _fault(params, firmware))
        ntime_word, nonce_word = _TWO_WORDS.unpack(unhexlify(ntime + nonce))
        extranonce2_bytes = unhexlify(extranonce2)
        if len(extranonce2_bytes) != firmware.extranonce2_bytes:
            return Malformed(request_id, _fault(params, firmware))
        version_bits = None if bits is None else int.from_bytes(_hex(bits, 8), "big")
    except (TypeError, ValueError, AttributeError, HexError):
        return Malformed(request_id, _fault(params, firmware))
    return Submit(request_id, worker, job_id, extranonce2_bytes, ntime_word, nonce_word, version_bits)


def _fault(params: list[Any], firmware: Firmware) -> str:
    """What a person is told about a submission that cannot be read."""
    if len(params) < 5:
        return "Expected worker, job, extranonce2, ntime and nonce"
    if not all(isinstance(name, str) for name in params[:2]):
        return "worker and job must be strings"
    digits = {"extranonce2": 2 * firmware.extranonce2_bytes, "ntime": 8, "nonce": 8, "version bits": 8}
    for (name, size), value in zip(digits.items(), params[2:], strict=False):
        try:
            _hex(value, size)
        except (TypeError, ValueError):
            return f"{name} must be {size} hex digits"
    return "The submission cannot be read"


def _hex(text: Any, digits: int) -> bytes:
    """Exactly so many hex digits.

    Raises:
        ValueError, TypeError: it is something else.
    """
    if not isinstance(text, str) or len(text) != digits:
        raise ValueError("hex digits expected")
    return unhexlify(text)


def _configure(request_id: bytes, params: list[Any]) -> Message:
    match params:
        case [list(extensions), *rest] if all(isinstance(name, str) for name in extensions):
            parameters = rest[0] if rest and isinstance(rest[0], dict) else {}
            return Configure(request_id, tuple(extensions[:32]), parameters)
    return Malformed(request_id, "Expected a list of extensions and their parameters")


def _subscribe(request_id: bytes, params: list[Any]) -> Message:
    agent = params[0] if params and isinstance(params[0], str) else ""
    return Subscribe(request_id, agent[:MAX_AGENT_CHARACTERS], _session_id(params[1:2]))


def _session_id(params: list[Any]) -> bytes | None:
    """32 hex digits; whatever else stands there was not given out by us."""
    try:
        return _hex(params[0], 32) if params else None
    except ValueError:
        return None


def _authorize(request_id: bytes, params: list[Any]) -> Message:
    match params:
        case [str(username), *rest] if 0 < len(username) <= MAX_USERNAME_CHARACTERS:
            return Authorize(request_id, username, rest[0] if rest and isinstance(rest[0], str) else "")
    return Malformed(request_id, f"Expected a username of 1 to {MAX_USERNAME_CHARACTERS} characters")


def _suggest_difficulty(request_id: bytes, params: list[Any]) -> Message:
    wished = wishes.difficulty(params[0]) if params else None
    return (
        Malformed(request_id, "Expected a difficulty: a number above 0")
        if wished is None
        else Suggest(request_id, wished)
    )


def _suggest_target(request_id: bytes, params: list[Any]) -> Message:
    wished = wishes.difficulty_of_target(params[0]) if params else None
    return (
        Malformed(request_id, "Expected a target: 1 to 64 hex digits, not all 0")
        if wished is None
        else Suggest(request_id, wished)
    )


_READERS: Final[dict[str, Callable[[bytes, list[Any]], Message]]] = {
    "mining.configure": _configure,
    "mining.subscribe": _subscribe,
    "mining.authorize": _authorize,
    "mining.suggest_difficulty": _suggest_difficulty,
    "mining.suggest_target": _suggest_target,
}


def accepted(request_id: bytes) -> bytes:
    """The reply ``true``."""
    return b'{"id":' + request_id + b',"result":true,"error":null}\n'


def result(request_id: bytes, value: object) -> bytes:
    """A reply with any result."""
    return b'{"id":' + request_id + b',"result":' + _encode(value) + b',"error":null}\n'


def error(request_id: bytes, code: Code, message: str) -> bytes:
    """A refusal, ``[code, message, null]``."""
    return b'{"id":' + request_id + _error_tail(code, message)


@lru_cache(maxsize=256)
def _error_tail(code: Code, message: str) -> bytes:
    return b',"result":null,"error":' + _encode([int(code), message, None]) + b"}\n"


def subscribed(request_id: bytes, extranonce1: bytes, session_id: bytes, extranonce2_bytes: int) -> bytes:
    """The reply to subscribe; miners send the id of the second subscription back when they reconnect."""
    name = session_id.hex()
    ids = [["mining.set_difficulty", name], ["mining.notify", name]]
    return result(request_id, [ids, extranonce1.hex(), extranonce2_bytes])
