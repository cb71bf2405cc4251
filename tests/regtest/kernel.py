"""Bitcoin Core's own consensus code as a second judge of blocks: libbitcoinkernel, without a node."""

from __future__ import annotations

from pathlib import Path

import pbk


class Kernel:
    """A regtest chain of its own, which takes blocks and says whether they extended it."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        options = pbk.ContextOptions()
        options.set_chainparams(pbk.ChainParameters(pbk.ChainType.REGTEST))
        self._context = pbk.Context(options)
        where = directory.resolve()
        made = pbk.ChainstateManagerOptions(self._context, str(where), str(where / "blocks"))
        made.update_block_tree_db_in_memory(True)
        made.update_chainstate_db_in_memory(True)
        self._chain = pbk.ChainstateManager(made)

    @property
    def height(self) -> int:
        """Of its tip."""
        return int(self._chain.get_active_chain().height)

    def tip(self) -> str:
        """Hash of its tip, display order hex."""
        newest = self._chain.get_active_chain().block_tree_entries[-1]
        return bytes(newest.block_hash)[::-1].hex()

    def take(self, raw: bytes) -> bool:
        """Whether this block became the tip."""
        try:
            block = pbk.Block(raw)
            self._chain.process_block(block)
        except (pbk.KernelException, ValueError, RuntimeError):
            return False
        return self.tip() == bytes(block.block_hash)[::-1].hex()
