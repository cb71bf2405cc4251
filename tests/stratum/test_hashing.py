"""Whatever SHA-256 is taken, it is SHA-256: one suite for Python's and for what was compiled."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from hashlib import sha256
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stratum import hashing, plain_hashing

SOURCE = Path(hashing.__file__).with_name("_sha256d.c")
HASHES = st.binary(min_size=32, max_size=32)


def twice(message: bytes) -> bytes:
    return sha256(sha256(message).digest()).digest()


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The C source as it is now, whatever was compiled when the package was installed."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.fail("a C compiler is needed to test stratum/_sha256d.c: apt-get install gcc python3-dev")
    target = tmp_path_factory.mktemp("sha256d") / "_sha256d.so"
    headers = sysconfig.get_paths()["include"]
    flags = ["-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", f"-I{headers}"]
    subprocess.run([compiler, *flags, str(SOURCE), "-o", str(target)], check=True)
    spec = spec_from_file_location("_sha256d", target)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module", params=["python", "portable", "x86"])
def ways(request: pytest.FixtureRequest, compiled: Any) -> Iterator[Any]:
    if request.param == "python":
        yield plain_hashing
        return
    there = compiled.use(request.param)
    processor = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    assert there or (request.param == "x86" and "sha_ni" not in processor)
    yield compiled


def test_every_length_gives_the_double_hash(ways: Any) -> None:
    for length in range(300):
        message = bytes((7 * length + place) & 0xFF for place in range(length))
        assert ways.sha256d(message) == twice(message)


@given(st.binary(max_size=1000))
def test_every_message_gives_the_double_hash(ways: Any, message: bytes) -> None:
    assert ways.sha256d(message) == twice(message)


@given(st.binary(min_size=60, max_size=300), st.lists(HASHES, max_size=14))
def test_a_root_is_hashed_up_along_the_branches(ways: Any, coinbase: bytes, branches: list[bytes]) -> None:
    root = twice(coinbase)
    for branch in branches:
        root = twice(root + branch)
    assert ways.merkle_root(coinbase, tuple(branches)) == root


@pytest.mark.parametrize(
    "call",
    [
        lambda ways: ways.sha256d("text"),
        lambda ways: ways.merkle_root(b"coinbase"),
        lambda ways: ways.merkle_root(b"coinbase", [bytes(32)]),
        lambda ways: ways.merkle_root(b"coinbase", (bytes(31),)),
        lambda ways: ways.merkle_root(b"coinbase", ("a" * 32,)),
        lambda ways: ways.merkle_root("coinbase", ()),
    ],
)
def test_what_is_not_bytes_is_a_type_error(compiled: Any, call: Callable[[Any], object]) -> None:
    with pytest.raises(TypeError):
        call(compiled)


def test_a_way_that_does_not_exist_is_not_taken(compiled: Any) -> None:
    assert not compiled.use("gpu")
    assert not compiled.use(7)


def test_the_pool_hashes_by_whatever_was_compiled_at_installation() -> None:
    assert ("stratum._sha256d" in sys.modules) == hashing.COMPILED
    assert hashing.sha256d(b"") == twice(b"")
