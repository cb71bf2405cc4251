"""Mining nodes without a wire: the part that a test does not care about, and one whose words it sets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
from twisted.internet.defer import Deferred

from pool.chain.headers import Evidence
from pool.chain.node import (
    Accepted,
    ChainInfo,
    ChainUnavailable,
    CoinbaseOutput,
    HeaderInfo,
    SubmitResult,
)
from pool.chain.template import Template, parse
from stratum.units import Height
from tests.fakes_chain import EASY, easy_header, sha256d
from tests.pool.chain_samples import answer


class QuietNode:
    """Takes every proposal, has a peer, publishes nothing."""

    async def propose(self, block_hex: str) -> SubmitResult:
        return Accepted()

    async def peers(self) -> int:
        return 1

    async def subscribe(self, told: Callable[[str], None]) -> Callable[[], None] | None:
        return None

    def close(self) -> None:
        """Nothing is waited for."""


class Blocks:
    """Headers that nodes know, each with regtest's difficulty unless a test says otherwise."""

    def __init__(self, height: int = 499) -> None:
        self.known: dict[str, Evidence] = {}
        self.first = self._add("00" * 32, height, 2 * height)

    def after(self, prev_hash: str, salt: int = 0, **changes: Any) -> str:
        """A block on another one; its hash."""
        before = self.known[prev_hash]
        made = self._add(prev_hash, before.height + 1, before.said_work + 2, salt)
        self.known[made] = attrs.evolve(self.known[made], **changes)
        return made

    def _add(self, prev_hash: str, height: int, work: int, salt: int = 0) -> str:
        time_s = 1_700_000_000 + salt
        raw = easy_header(prev_hash, time_s)
        made = Evidence(
            hash=sha256d(raw)[::-1].hex(),
            height=Height(height),
            prev_hash=prev_hash,
            nbits=EASY,
            time_s=time_s,
            median_s=time_s - 600,
            said_work=work,
            raw=raw,
        )
        self.known[made.hash] = made
        return made.hash


class WordedNode(QuietNode):
    """A mining node whose every word is set by the test."""

    def __init__(self, blocks: Blocks | None = None, name: str = "fake:8332") -> None:
        self.name = name
        self.blocks = blocks or Blocks()
        self.best = self.blocks.first
        self.changes: dict[str, Any] = {}
        self.info: dict[str, Any] = {}
        self.down: str | None = None
        self.hangs = False
        self.bug = False
        self.publishes = False
        self.told: list[Callable[[str], None]] = []
        self.templates_asked = 0
        self.longpolls: list[Deferred[Template]] = []
        self.proposals: list[str] = []
        self.verdicts: list[SubmitResult] = []
        self.submitted: list[str] = []
        self.results: list[SubmitResult] = []

    @property
    def height(self) -> int:
        """Of the block that is sought."""
        return self.blocks.known[self.best].height + 1

    def build(self) -> Template:
        document = answer(
            previousblockhash=self.best, height=self.height, bits="207fffff", longpollid=self.best
        )
        return parse({key: value for key, value in (document | self.changes).items() if value is not None})

    def grow(self, salt: int = 0) -> str:
        self.best = self.blocks.after(self.best, salt)
        return self.best

    def answer_longpoll(self) -> None:
        self.longpolls[-1].callback(self.build())

    async def _ready(self) -> None:
        if self.hangs:
            await Deferred()
        if self.down is not None:
            raise ChainUnavailable(self.down)

    async def template(self, longpoll_id: str | None) -> Template:
        await self._ready()
        if longpoll_id is not None:
            waiting: Deferred[Template] = Deferred()
            self.longpolls.append(waiting)
            return await waiting
        self.templates_asked += 1
        return self.build()

    async def submit(self, block_hex: str) -> SubmitResult:
        self.submitted.append(block_hex)
        return self.results.pop(0) if self.results else Accepted()

    async def propose(self, block_hex: str) -> SubmitResult:
        self.proposals.append(block_hex)
        return self.verdicts.pop(0) if self.verdicts else Accepted()

    async def tip(self) -> str:
        await self._ready()
        if self.bug:
            raise ZeroDivisionError
        return self.best

    async def evidence(self, block_hash: str) -> Evidence | None:
        await self._ready()
        return self.blocks.known.get(block_hash)

    async def subscribe(self, told: Callable[[str], None]) -> Callable[[], None] | None:
        await self._ready()
        if not self.publishes:
            return None
        self.told.append(told)
        return lambda: None

    async def header(self, block_hash: str) -> HeaderInfo | None:
        return None

    async def block_outputs(self, block_hash: str) -> tuple[CoinbaseOutput, ...]:
        return ()

    async def chain_info(self) -> ChainInfo:
        await self._ready()
        height = Height(self.height - 1)
        info = ChainInfo("regtest", height, self.best, height, syncing=False)
        return attrs.evolve(info, **self.info)
