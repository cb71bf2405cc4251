"""What the documents say is so: commands exist and run, links lead somewhere, keys are keys, lists agree."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from pydantic import BaseModel

from pool.cli import sluice
from pool.config import Config, LightningConfig, parse
from pool.errors import PoolError
from pool.regtest.bitcoind import WHITELISTS
from pool.store.database import FILES, connect

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
FENCED = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\[[^\]\n]*\]\(([^)\s]+)\)")

WITHOUT_A_NODE = {"init", "status", "blocks", "account", "ledger", "payouts", "shares", "treasury"}
"""Commands that a document's reader can run where neither node nor pool is running."""


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def blocks(path: Path, language: str) -> list[str]:
    """The fenced blocks in a language."""
    return [text for kind, text in FENCED.findall(path.read_text(encoding="utf-8")) if kind == language]


def prose(path: Path) -> str:
    """A document without its fenced blocks."""
    return FENCED.sub("", path.read_text(encoding="utf-8"))


def shell_lines(path: Path, word: str) -> list[list[str]]:
    """The command lines of a document's shell blocks that begin with a word, split as a shell splits them."""
    lines = [line for block in blocks(path, "sh") for line in block.splitlines()]
    return [parts for line in lines if (parts := shlex.split(line, comments=True)) and parts[0] == word]


def resolved(arguments: list[str]) -> tuple[click.Command, list[str]]:
    """The command that a line names, and what is left of the line.

    Raises:
        click.UsageError: there is no such command.
    """
    command: click.Command = sluice
    rest = list(arguments)
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        name = rest.pop(0)
        found = command.get_command(click.Context(command), name)
        if found is None:
            raise click.UsageError(f"there is no command {name}")
        command = found
    return command, rest


COMMAND_LINES = [(name_of(path), line[1:]) for path in DOCUMENTS for line in shell_lines(path, "sluice")]


@pytest.mark.parametrize(("document", "arguments"), COMMAND_LINES)
def test_every_command_in_a_shell_block_is_one_with_these_options(
    document: str, arguments: list[str]
) -> None:
    command, rest = resolved(arguments)
    whole = not isinstance(command, click.Group) or command.invoke_without_command
    assert whole, f"{document}: {arguments} is not a whole command"
    command.make_context(command.name, rest)  # raises what click would tell the reader


INLINE_COMMANDS = sorted(
    {
        (name_of(path), text)
        for path in DOCUMENTS
        for text in INLINE.findall(prose(path))
        if text == "sluice" or text.startswith("sluice ")
    }
)


@pytest.mark.parametrize(("document", "text"), INLINE_COMMANDS)
def test_every_command_in_the_text_exists_with_its_options(document: str, text: str) -> None:
    command, rest = resolved([word for word in text.split()[1:] if word != "…"])
    known = {option for parameter in command.params for option in parameter.opts} | {"--help", "--version"}
    assert {word for word in rest if word.startswith("-")} <= known, f"{document}: {text}"


TARGETS = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def test_every_make_target_in_the_documents_exists() -> None:
    lines = [line for path in DOCUMENTS for line in shell_lines(path, "make")]
    inline = [
        text.split() for path in DOCUMENTS for text in INLINE.findall(prose(path)) if text.startswith("make ")
    ]
    named = {word for line in [*lines, *inline] for word in line[1:] if "=" not in word}
    assert {"demo", "test"} <= named <= TARGETS


@pytest.mark.parametrize("path", [path for path in DOCUMENTS if shell_lines(path, "sluice")], ids=name_of)
def test_commands_that_need_no_node_run_in_their_order(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    runner = CliRunner()
    lines = [line[1:] for line in shell_lines(path, "sluice") if line[1] in WITHOUT_A_NODE]
    if ["init"] not in lines:
        lines.insert(0, ["init"])
    for name in FILES:
        connect(tmp_path / "data", name).close()  # as `sluice run` leaves them
    for line in lines:
        result = runner.invoke(sluice, line, standalone_mode=False)
        missing = isinstance(result.exception, PoolError) and "there is no payment" in str(result.exception)
        assert missing or (result.exception is None and result.exit_code == 0), (line, result)


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_every_link_leads_to_a_file_and_a_heading(path: Path) -> None:
    for target in LINK.findall(prose(path)):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, heading = target.partition("#")
        there = (path.parent / file).resolve() if file else path
        assert there.exists(), f"{name_of(path)} links to {target}"
        if heading:
            assert heading in headings(there), f"{name_of(path)} links to {target}"


def headings(path: Path) -> set[str]:
    """The anchors of a document's headings, as the sites that show Markdown make them."""
    found = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in found}


def test_every_document_is_linked_from_the_readme_or_from_a_document_that_is() -> None:
    reached, todo = set(), [ROOT / "README.md"]
    while todo:
        path = todo.pop()
        reached.add(path)
        targets = [(path.parent / link.partition("#")[0]).resolve() for link in LINK.findall(prose(path))]
        todo += [target for target in targets if target.suffix == ".md" and target not in reached]
    assert [name_of(path) for path in DOCUMENTS if path not in reached] == []


SECTIONS: dict[str, type[BaseModel]] = {
    name: LightningConfig if name == "lightning" else field.annotation  # type: ignore[misc]
    for name, field in Config.model_fields.items()
}


def dotted_keys(path: Path) -> Iterator[tuple[str, str]]:
    """Keys that a text names as `section.key`."""
    for text in INLINE.findall(prose(path)):
        match = re.fullmatch(rf"({'|'.join(SECTIONS)})\.([a-z_]+)(?: ?=.*)?", text)
        if match and match.group(2) not in {"py", "db", "toml"}:
            yield match.group(1), match.group(2)


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_every_configuration_key_in_the_documents_exists(path: Path) -> None:
    for section, key in dotted_keys(path):
        assert key in SECTIONS[section].model_fields, f"{name_of(path)}: {section}.{key}"
    for block in blocks(path, "toml"):
        document = tomllib.loads(block)
        for secret in [value for value in _values(document) if isinstance(value, dict) and "file" in value]:
            secret.clear()
            secret["env"] = "HOME"
        parse(document, name_of(path))


def _values(value: Any) -> Iterator[Any]:
    yield value
    if isinstance(value, dict):
        for part in value.values():
            yield from _values(part)
    elif isinstance(value, list):
        for part in value:
            yield from _values(part)


def test_the_example_shows_every_key_with_its_default() -> None:
    example = files("pool").joinpath("example.toml").read_text(encoding="utf-8")
    section = ""
    shown: dict[str, dict[str, str]] = {}
    for line in example.splitlines():
        bare = line.removeprefix("# ")
        if re.fullmatch(r"\[\w+\]", bare):
            section = bare.strip("[]")
        elif match := re.match(r"([a-z_]+) = (.+?)(?: {2,}#.*)?$", bare):
            shown.setdefault(section, {})[match.group(1)] = match.group(2)
    assert set(shown) | {"metrics"} == set(SECTIONS)
    for name, model in SECTIONS.items():
        assert set(shown.get(name, {})) == set(model.model_fields), name
        for key, field in model.model_fields.items():
            commented = f"# {key} = " in example
            if commented and field.default is not None and not field.is_required():
                value = tomllib.loads(f"it = {shown[name][key]}")["it"]
                assert str(field.default) in {str(value), str(float(value)) if _number(value) else ""}, key


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def test_the_whitelists_of_the_manual_are_those_that_are_tried_on_a_real_node() -> None:
    (conf,) = [text for text in blocks(ROOT / "docs" / "operations.md", "ini") if "rpcwhitelist=" in text]
    lines = dict(re.findall(r"^rpcwhitelist=sluice-(\w+):(\S+)$", conf, re.MULTILINE))
    assert {role: calls.split(",") for role, calls in lines.items()} == WHITELISTS
    assert set(re.findall(r"^rpcauth=sluice-(\w+):", conf, re.MULTILINE)) == set(WHITELISTS)
    assert "rpcwhitelistdefault=0" in conf
