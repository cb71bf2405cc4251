"""Rules of the house that no linter knows: money without floats, first lines, stray names, SQL in place."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("stratum", "pool", "payouts")

MONEY = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in (
        "payouts/**/*.py",
        "pool/rewards/*.py",
        "pool/proof/*.py",
        "pool/ledger/*.py",
        "pool/settle.py",
        "pool/claims.py",
        "pool/crediting.py",
        "pool/fixed_sums.py",
        "pool/statements.py",
        "pool/rates.py",
        "pool/verify.py",
        "pool/cli/*.py",
        "pool/store/ledger.py",
        "pool/store/rates.py",
        "pool/payable.py",
        "pool/store/flows.py",
        "pool/store/payment_rows.py",
        "pool/store/payments.py",
        "pool/store/proof_reads.py",
        "pool/store/notices.py",
        "pool/store/pushes.py",
        "pool/store/rulings.py",
        "pool/store/batches.py",
        "pool/store/audit.py",
        "pool/store/operator.py",
    )
    for path in ROOT.glob(pattern)
)
"""Where amounts of money are computed or passed on."""

SECONDS = ("_s", "_S", "_at")
"""Names of waiting times: the only numbers in those modules that may have a point."""


@cache
def tree(path: str) -> ast.Module:
    return ast.parse((ROOT / path).read_text(encoding="utf-8"), path)


def modules() -> list[str]:
    found = (path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
    return sorted(path.relative_to(ROOT).as_posix() for path in found)


def tracked() -> list[Path]:
    """Every file of the project, as git has them; in an export without git, all that is not made by tools."""
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        made = {".venv", ".git", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis", "__pycache__"}
        return [path for path in ROOT.rglob("*") if path.is_file() and not made & set(path.parts)]
    return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def is_time(names: list[str]) -> bool:
    return any(name.endswith(SECONDS) for name in names)


def names_around(node: ast.AST, parents: dict[ast.AST, ast.AST]) -> list[str]:
    """What a number is called where it stands.

    That is the variable, field, parameter or keyword that it is given to, and whatever it is compared or
    reckoned with in the same expression.
    """
    found: list[str] = []
    while not isinstance(node, ast.stmt):
        parent = parents[node]
        if isinstance(parent, ast.keyword) and parent.arg:
            return [parent.arg]
        if isinstance(parent, ast.arguments):
            return [_parameter(parent, node)]
        if isinstance(parent, ast.BinOp | ast.Compare | ast.Call):
            found += [part.attr for part in ast.walk(parent) if isinstance(part, ast.Attribute)]
            found += [part.id for part in ast.walk(parent) if isinstance(part, ast.Name)]
        node = parent
    targets: list[ast.expr] = []
    if isinstance(node, ast.Assign):
        targets = node.targets
    elif isinstance(node, ast.AnnAssign | ast.AugAssign):
        targets = [node.target]
    found += [part.attr if isinstance(part, ast.Attribute) else getattr(part, "id", "") for part in targets]
    return found


def _parameter(arguments: ast.arguments, default: ast.AST) -> str:
    positional = [*arguments.posonlyargs, *arguments.args]
    with_default = dict(
        zip(arguments.defaults, positional[len(positional) - len(arguments.defaults) :], strict=True)
    )
    keyword_only = {
        value: name for value, name in zip(arguments.kw_defaults, arguments.kwonlyargs, strict=True) if value
    }
    return {**with_default, **keyword_only}[default].arg  # type: ignore[index]


def parents_of(module: ast.Module) -> dict[ast.AST, ast.AST]:
    return {child: node for node in ast.walk(module) for child in ast.iter_child_nodes(node)}


def is_path(node: ast.expr) -> bool:
    """Whether a division joins a path: a text, or a name that says so, stands on one side of it."""
    if isinstance(node, ast.Constant | ast.JoinedStr):
        return isinstance(node, ast.JoinedStr) or isinstance(node.value, str)
    name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    return name.endswith(("directory", "path"))


def broken_money_rules(path: str) -> Iterator[str]:
    """Floats and true divisions in a module about money."""
    module = tree(path)
    parents = parents_of(module)
    for node in ast.walk(module):
        where = f"{path}:{getattr(node, 'lineno', 0)}"
        match node:
            case ast.Constant(value=float()) if not is_time(names_around(node, parents)):
                yield f"{where}: a float literal that is no time in seconds"
            case ast.BinOp(op=ast.Div(), left=left, right=right) if not (is_path(left) or is_path(right)):
                yield f"{where}: a true division"
            case ast.AugAssign(op=ast.Div()):
                yield f"{where}: a true division"
            case ast.Call(func=ast.Name(id="float")):
                yield f"{where}: float()"
            case ast.Call(func=ast.Name(id="round")):
                yield f"{where}: round(), which rounds half to even"


@pytest.mark.parametrize("path", MONEY)
def test_money_knows_no_float_and_no_true_division(path: str) -> None:
    assert list(broken_money_rules(path)) == []


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("amount = balance / 2", 1),
        ("amount /= 2", 1),
        ("fee = 0.01", 1),
        ("fee = amount * 1.5", 1),
        ("amount = float(text)", 1),
        ("amount = round(text)", 1),
        ("pause_s = 0.5", 0),
        ("WAIT_S: float = 0.5", 0),
        ("def wait(timeout_s: float = 0.5): ...", 0),
        ("def wait(*, fee: float = 0.5): ...", 1),
        ("options(poll_s=0.05)", 0),
        ("options(fee=0.05)", 1),
        ("pause = min(10.0, interval_s)", 0),
        ("file = directory / name", 0),
        ("file = store / 'a.db'", 0),
        ("amount = balance // 2", 0),
    ],
)
def test_the_rule_about_money_finds_what_it_should(
    source: str, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{__name__}.tree", lambda _: ast.parse(source))
    assert len(list(broken_money_rules("x.py"))) == count


@pytest.mark.parametrize("path", modules())
def test_every_module_says_in_its_first_line_what_it_knows(path: str) -> None:
    text = ast.get_docstring(tree(path))
    assert text, f"{path} has no docstring"
    assert text.splitlines()[0].rstrip().endswith((".", "…", ":", ";")), f"{path}: no sentence"


@pytest.mark.parametrize("path", modules())
def test_nothing_prints(path: str) -> None:
    calls = [node for node in ast.walk(tree(path)) if isinstance(node, ast.Call)]
    assert [
        call.lineno for call in calls if isinstance(call.func, ast.Name) and call.func.id == "print"
    ] == []


UNDONE = ("TO" + "DO", "FIX" + "ME", "XX" + "X", "NotImplemented" + "Error")


@pytest.mark.parametrize("path", modules())
def test_nothing_is_left_undone(path: str) -> None:
    text = (ROOT / path).read_text(encoding="utf-8")
    assert [word for word in UNDONE if word in text] == []


ELSEWHERE = (
    "deb.deb" + "ian.org",
    "pyp" + "i.org",
    "pythonhosted" + ".org",
    "npm" + "js.org",
    "proxy.gol" + "ang.org",
    "crat" + "es.io",
)
"""Hosts of package registries, which the machine's own apt and pip know."""


def test_no_file_names_a_package_registry() -> None:
    found = []
    for path in tracked():
        text = path.read_bytes().decode("utf-8", errors="replace").lower()
        found += [f"{path.relative_to(ROOT)}: {word}" for word in ELSEWHERE if word in text]
    assert found == []


SQL = ("SELECT ", "INSERT ", "UPDATE ", "DELETE FROM ")


@pytest.mark.parametrize("path", [path for path in modules() if not path.startswith("pool/store/")])
def test_all_sql_is_in_the_store(path: str) -> None:
    texts = [
        node
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    assert [f"{path}:{node.lineno}" for node in texts if str(node.value).startswith(SQL)] == []


SHELLS = {"pool/__main__.py", "pool/bench/pushes.py", "pool/check.py", "pool/roles/__init__.py"}
"""The entries that take the real reactor."""


@pytest.mark.parametrize("path", [path for path in modules() if path not in SHELLS])
def test_only_the_entries_take_the_real_reactor(path: str) -> None:
    imports = [node for node in ast.walk(tree(path)) if isinstance(node, ast.ImportFrom)]
    assert [
        n.lineno for n in imports if n.module == "twisted.internet" and "reactor" in {a.name for a in n.names}
    ] == []
