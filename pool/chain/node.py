"""The node as the pool sees it: what may be asked of it, and the values that it answers with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol, assert_never

import attrs

from payouts.money import Sat
from pool.chain.headers import Evidence
from pool.chain.template import Template
from pool.errors import ChainError
from stratum.units import Height

CHAINS: Final = {"mainnet": "main", "testnet4": "testnet4", "signet": "signet", "regtest": "regtest"}
"""What a node calls the networks of the configuration (getblockchaininfo, ``chain``)."""


class ChainUnavailable(ChainError):
    """The node did not answer, or answered nonsense: nothing is known about what was asked."""


class WrongCredentials(ChainUnavailable):
    """The node does not let us in; the text names the role and the user, never the password."""


class ChainRefused(ChainError):
    """The node understood and said no.

    Attributes:
        code: JSON-RPC error code as in Bitcoin Core's rpc/protocol.h.
        message: the node's own words.
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"the node refused: {message} (code {code})")
        self.code = code
        self.message = message


@attrs.frozen
class Accepted:
    """The node has the block and found it valid."""


@attrs.frozen
class Refused:
    """The node answered with something else than yes.

    Attributes:
        reason: its own word (BIP 22): ``high-hash``, ``bad-cb-amount``, ``inconclusive`` (kept, but on a
            branch with less work) …
    """

    reason: str


@attrs.frozen
class Unanswered:
    """Nothing is known: the node may or may not have the block.  Submitting again is harmless."""

    reason: str


SubmitResult = Accepted | Refused | Unanswered


def word_for(result: SubmitResult) -> str:
    """One word for tables and logs: ``accepted``, ``unanswered`` or the node's own."""
    match result:
        case Accepted():
            return "accepted"
        case Refused(reason):
            return reason
        case Unanswered():
            return "unanswered"
        case _:
            assert_never(result)


@attrs.frozen
class HeaderInfo:
    """What the node knows of a block by its header.

    Attributes:
        hash: display-order hex.
        height: of the block.
        confirmations: 1 for the tip; -1 when the block is not in the active chain.
        prev_hash: display-order hex; empty for the genesis block.
        time_s: of the header, Unix seconds.
    """

    hash: str
    height: Height
    confirmations: int
    prev_hash: str
    time_s: int


@attrs.frozen
class ChainInfo:
    """Where the node is.

    Attributes:
        chain: the node's own name of the network: ``main``, ``testnet4``, ``signet``, ``regtest``.
        height: of its tip.
        best_hash: of its tip, display-order hex.
        headers: height of the best header; more than height while it catches up.
        syncing: it is still in its initial download, so its tip is old.
        work: expected hashes in the whole chain up to its tip; 0 when the node does not tell.
    """

    chain: str
    height: Height
    best_hash: str
    headers: int
    syncing: bool
    work: int = 0


@attrs.frozen
class CoinbaseOutput:
    """One output of a block's first transaction.  Attributes: script and what it is paid."""

    script: bytes
    value: Sat


@attrs.frozen
class BlockFees:
    """What a block brought in fees, whoever mined it.

    Attributes:
        hash: display-order hex.
        height: of the block.
        prev_hash: display-order hex.
        fees: of all its transactions together.
    """

    hash: str
    height: Height
    prev_hash: str
    fees: Sat


class Node(Protocol):
    """A full node.  Every method may raise ChainUnavailable, or ChainRefused where nothing else is said."""

    @property
    def name(self) -> str:
        """What logs and tables call this node; holds no credentials."""
        ...

    async def template(self, longpoll_id: str | None) -> Template:
        """A block template: at once, or (given an id) when it would differ from the one with that id.

        Raises:
            TemplateError: no block can be built on what the node sent.
        """
        ...

    async def submit(self, block_hex: str) -> SubmitResult:
        """Hand over a whole block, hex; raises nothing."""
        ...

    async def header(self, block_hash: str) -> HeaderInfo | None:
        """The header with this display-order hash, or None when the node does not know it."""
        ...

    async def block_outputs(self, block_hash: str) -> tuple[CoinbaseOutput, ...]:
        """What the coinbase of a known block pays, in order."""
        ...

    async def tip(self) -> str:
        """Hash of the best block, display-order hex; cheap, for polling."""
        ...

    async def chain_info(self) -> ChainInfo:
        """Network, tip and progress."""
        ...


class BookNode(Node, Protocol):
    """What the book asks of a node beside that, for a pool that pays for fees at once."""

    async def hash_at(self, height: int) -> str:
        """Hash of the block at a height of the node's chain, display-order hex."""
        ...

    async def block_fees(self, block_hash: str) -> BlockFees:
        """What a known block brought in fees."""
        ...


class MiningNode(Node, Protocol):
    """What a front asks of a node beside that: proof of its tip, a look at a block to be made, and news."""

    async def evidence(self, block_hash: str) -> Evidence | None:
        """The whole header with this display-order hash, or None when the node does not know it.

        The caller checks it (pool.chain.headers).
        """
        ...

    async def propose(self, block_hex: str) -> SubmitResult:
        """Ask what the node would say to a block if only its proof of work were there; raises nothing."""
        ...

    async def peers(self) -> int:
        """To how many other nodes it is connected."""
        ...

    async def subscribe(self, told: Callable[[str], None]) -> Callable[[], None] | None:
        """Have it publish new blocks: ``told`` is called with the display-order hash of each new tip.

        Returns:
            What ends it; None when the node publishes nothing.
        """
        ...

    def close(self) -> None:
        """Hang up whatever is being waited for; the calls fail, and later ones work again."""
        ...
