"""Whether a text was signed with an address's key: Bitcoin Signed Message and BIP 322, by output script.

Only addresses of a single key can be judged: P2PKH, P2WPKH, P2SH around P2WPKH, and P2TR by its key path.
Bitcoin Signed Message was made for P2PKH; wallets use it for the segwit forms too, with other header bytes
(BIP 137) or the same (Electrum), so the header is not held against a signature: the key that it recovers must
be the address's, which is the whole proof.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from datetime import UTC, datetime
from typing import Final

from coincurve import PublicKey, PublicKeyXOnly
from Cryptodome.Hash import RIPEMD160

_MAGIC: Final = b"\x18Bitcoin Signed Message:\n"
_COMPACT: Final = 65  # bytes: header, r, s
_COMPRESSED: Final = 31  # the first header byte that stands for a compressed key
_HEADERS: Final = range(27, 43)
_ALL: Final = 1  # SIGHASH_ALL
_LONGEST: Final = 1000  # characters of a signature: a witness of one key has below 200
_ONE_KEY: Final = "only addresses of a single key can sign here (not multisig or other scripts)"
_UNREADABLE: Final = "this is no signature: it must be pasted whole, as the wallet shows it"
_OTHER: Final = "this signature is not of this address and this message: sign exactly the text shown"
NONCE_DIGITS: Final = 32


def ownership_message(url: str, address: str, nonce: str, expires_s: int) -> str:
    """What an address's owner signs to open the address's account; one line, since some signers take no more.

    Args:
        url: of the pool.
        address: which is the account's name too.
        nonce: 32 hex digits, the beginning of the hash of the claim secret that is to open the account.
        expires_s: Unix second from which the text is void.
    """
    until = datetime.fromtimestamp(expires_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return (
        f"{url} account {address}: give me, the owner of this address, claim link {nonce}. Void from {until}"
    )


def objection(script: bytes, message: str, signature: str) -> str | None:
    """Why a signature proves nothing, in words for its owner; None when it is good.

    Args:
        script: the address's output script.
        message: what was to be signed; hashed as UTF-8.
        signature: base64 of a signed message's 65 bytes, or of a BIP 322 witness, also with ``smp`` before.
    """
    if not _has_one_key(script):
        return _ONE_KEY
    raw = _decoded(signature)
    if raw is None:
        return _UNREADABLE
    try:
        if len(raw) == _COMPACT:
            good = _is_signed_message(script, message, raw)
        else:
            good = _is_witness(script, message, _stack(raw))
    except ValueError:  # what the curve's library says to numbers that are no key or no signature
        good = False
    return None if good else _OTHER


def _has_one_key(script: bytes) -> bool:
    p2pkh = len(script) == 25 and script[:3] == b"\x76\xa9\x14" and script[23:] == b"\x88\xac"
    p2sh = len(script) == 23 and script[:2] == b"\xa9\x14" and script[22:] == b"\x87"
    p2wpkh = len(script) == 22 and script[:2] == b"\x00\x14"
    p2tr = len(script) == 34 and script[:2] == b"\x51\x20"
    return p2pkh or p2sh or p2wpkh or p2tr


def _decoded(signature: str) -> bytes | None:
    text = "".join(signature.split()).removeprefix("smp")
    if not 0 < len(text) <= _LONGEST or not text.isascii():
        return None
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


def _is_signed_message(script: bytes, message: str, raw: bytes) -> bool:
    """Bitcoin Signed Message: the key that signature and text lead to is the one of the script."""
    header = raw[0]
    if header not in _HEADERS:
        return False
    text = message.encode()
    digest = _sha256d(_MAGIC + _compact_size(len(text)) + text)
    recovery = (header - _HEADERS.start) % 4
    key = PublicKey.from_signature_and_message(raw[1:] + bytes([recovery]), digest, hasher=None)
    if header < _COMPRESSED:  # an uncompressed key has no segwit address
        return script == _p2pkh(key.format(compressed=False))
    compressed = key.format()
    return script in {_p2pkh(compressed), _p2wpkh(compressed), _p2sh(_p2wpkh(compressed))}


def _is_witness(script: bytes, message: str, stack: list[bytes]) -> bool:
    """BIP 322: the witness spends the virtual output that the text makes of the script."""
    outpoint = _to_spend(script, message) + bytes(4)
    if script[:2] == b"\x51\x20":
        return len(stack) == 1 and _is_taproot(script, outpoint, stack[0])
    if len(stack) != 2:
        return False
    signature, key = stack
    if len(key) != 33 or script not in {_p2wpkh(key), _p2sh(_p2wpkh(key))}:
        return False
    if not signature or signature[-1] != _ALL:
        return False
    return PublicKey(key).verify(signature[:-1], _segwit_hash(_p2pkh(key), outpoint), hasher=None)


def _is_taproot(script: bytes, outpoint: bytes, signature: bytes) -> bool:
    kind = signature[64:]
    if len(signature) < 64 or kind not in {b"", bytes([_ALL])}:
        return False
    digest = _taproot_hash(script, outpoint, kind[0] if kind else 0)
    return PublicKeyXOnly(script[2:]).verify(signature[:64], digest)


def _to_spend(script: bytes, message: str) -> bytes:
    """The id of BIP 322's virtual transaction ``to_spend``: it commits to the text and pays to the script."""
    said = b"\x00\x20" + _tagged("BIP0322-signed-message", message.encode())
    source = bytes(32) + b"\xff" * 4 + _sized(said) + bytes(4)
    return _sha256d(bytes(4) + b"\x01" + source + b"\x01" + bytes(8) + _sized(script) + bytes(4))


_TO_SIGN_OUTPUT: Final = bytes(8) + b"\x01\x6a"  # nothing, to OP_RETURN


def _segwit_hash(script_code: bytes, outpoint: bytes) -> bytes:
    """What ``to_sign``'s signature signs by BIP 143; version, amount, sequence and lock time are zero."""
    sequence = amount = bytes(4)
    body = [bytes(4), _sha256d(outpoint), _sha256d(sequence), outpoint, _sized(script_code), amount * 2]
    body += [sequence, _sha256d(_TO_SIGN_OUTPUT), bytes(4), _ALL.to_bytes(4, "little")]
    return _sha256d(b"".join(body))


def _taproot_hash(script: bytes, outpoint: bytes, kind: int) -> bytes:
    """The same by BIP 341, for the key path without an annex."""
    version = lock_time = sequence = index = bytes(4)
    parts = (outpoint, bytes(8), _sized(script), sequence, _TO_SIGN_OUTPUT)
    hashes = b"".join(hashlib.sha256(part).digest() for part in parts)
    epoch, path = b"\x00", b"\x00"
    return _tagged("TapSighash", epoch + bytes([kind]) + version + lock_time + hashes + path + index)


def _stack(raw: bytes) -> list[bytes]:
    """A witness stack, to the last byte; no item of one key's witness has more than 252 bytes.

    Raises:
        ValueError: it is cut off, or goes on.
    """
    items, place = [], 1
    for _ in range(raw[0] if raw else 0):
        length = raw[place] if place < len(raw) else 0
        items.append(raw[place + 1 : place + 1 + length])
        place += 1 + length
    if not items or place != len(raw):
        raise ValueError("no whole witness")
    return items


def _tagged(tag: str, data: bytes) -> bytes:
    """BIP 340's tagged hash."""
    prefix = hashlib.sha256(tag.encode()).digest()
    return hashlib.sha256(prefix * 2 + data).digest()


def _sha256d(data: bytes) -> bytes:
    return hashlib.sha256(hashlib.sha256(data).digest()).digest()


def _hash160(data: bytes) -> bytes:
    digest: bytes = RIPEMD160.new(hashlib.sha256(data).digest()).digest()  # OpenSSL 3 may lack it
    return digest


def _p2pkh(key: bytes) -> bytes:
    return b"\x76\xa9\x14" + _hash160(key) + b"\x88\xac"


def _p2wpkh(key: bytes) -> bytes:
    return b"\x00\x14" + _hash160(key)


def _p2sh(redeem: bytes) -> bytes:
    return b"\xa9\x14" + _hash160(redeem) + b"\x87"


def _compact_size(number: int) -> bytes:
    """A length as transactions have it; no text or script here has 65,536 bytes."""
    return bytes([number]) if number < 253 else b"\xfd" + number.to_bytes(2, "little")


def _sized(data: bytes) -> bytes:
    return _compact_size(len(data)) + data
