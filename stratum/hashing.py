"""Double SHA-256 of short messages, as cheap as Python makes it."""

from __future__ import annotations

from hashlib import sha256

try:
    # hashlib's own fallback: it sets up no OpenSSL context, which for 32 to 80 bytes costs more than hashing
    # (1.2 µs against 1.9 µs for a merkle branch, of which a share takes a dozen)
    from _sha256 import sha256 as sha256_short  # type: ignore[import-not-found]
except ImportError:  # Python 3.12 and later name it otherwise
    sha256_short = sha256


def sha256d(message: bytes) -> bytes:
    """The double hash (32 bytes, internal order) of a message of any length; best for long ones."""
    digest: bytes = sha256_short(sha256(message).digest()).digest()
    return digest


def sha256d_short(message: bytes) -> bytes:
    """The same for messages of up to some 100 bytes."""
    digest: bytes = sha256_short(sha256_short(message).digest()).digest()
    return digest


def merkle_root(coinbase: bytes, branches: tuple[bytes, ...]) -> bytes:
    """The root (32 bytes, internal order) of a block with this coinbase.

    Args:
        coinbase: the transaction without witness.
        branches: 32 bytes each, what it is hashed with, from the leaves up.
    """
    root = sha256d(coinbase)
    short = sha256_short
    for branch in branches:
        root = short(short(root + branch).digest()).digest()
    return root
