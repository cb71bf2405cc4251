"""The one root of everything that this package raises."""

from __future__ import annotations


class PoolError(Exception):
    """A broken peer or a bug; never an expected outcome."""


class ConfigError(PoolError):
    """The configuration cannot be used; the text names the key or the file, and the mend."""


class StoreError(PoolError):
    """A database file cannot be used."""


class StoreBusy(StoreError):
    """Another process holds what we need."""


class ArchiveError(StoreError):
    """Archived shares cannot be had; the text names the file and the log ids, and what is wrong."""


class ChainError(PoolError):
    """The node could not be asked, or answered what no node may answer."""


class LedgerError(PoolError):
    """Books that do not balance, or a posting that may not be made: nothing was written."""


class ProofError(PoolError):
    """A proof, or a document with one, that cannot be read; the text says what is wrong with it."""
