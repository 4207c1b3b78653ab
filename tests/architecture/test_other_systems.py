"""What only some systems have is used behind a check: the standard library, as its type stubs tell it."""

import ast
import functools
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from repository import ROOT

SOURCES = [
    path
    for folder in ("planner", "profiling", "splitquant")
    for path in sorted((ROOT / folder).rglob("*.py"))
]
SYSTEMS = ("linux", "darwin", "win32")
CHECKS = ("sys.platform", "os.name", "hasattr(")


def stub_of(module: str) -> Path | None:
    """Return the file that says what a module of the standard library has; mypy brings them along."""
    spec = find_spec("mypy")
    assert spec is not None
    assert spec.origin is not None
    base = Path(spec.origin).parent / "typeshed" / "stdlib" / Path(*module.split("."))
    files = (base.with_suffix(".pyi"), base / "__init__.pyi")
    return next((file for file in files if file.is_file()), None)


def holds(test: ast.expr, system: str) -> bool:
    """Return whether a condition of a stub holds on a system, in this Python."""
    facts = {"sys": type("sys", (), {"platform": system, "version_info": sys.version_info})}
    try:
        return bool(eval(ast.unparse(test), {**facts, "TYPE_CHECKING": True}))
    except NameError:
        return True


def names_of(body: list[ast.stmt], system: str) -> Iterator[str]:
    """Yield what a stub defines on a system."""
    for node in body:
        if isinstance(node, ast.If):
            yield from names_of(node.body if holds(node.test, system) else node.orelse, system)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id
        elif isinstance(node, ast.Assign):
            yield from (one.id for one in node.targets if isinstance(one, ast.Name))


@functools.cache
def names_by_system(module: str) -> tuple[frozenset[str], ...]:
    stub = stub_of(module)
    body = [] if stub is None else ast.parse(stub.read_text(encoding="utf-8")).body
    return tuple(frozenset(names_of(body, system)) for system in SYSTEMS)


def is_of_some_systems(module: str) -> bool:
    """Return whether there is nothing in a module on one of the systems."""
    found = names_by_system(module)
    return any(found) and not all(found)


def lacks_somewhere(module: str, name: str) -> bool:
    found = names_by_system(module)
    return any(name in names for names in found) and not all(name in names for names in found)


def is_check(node: ast.expr) -> bool:
    text = ast.unparse(node)
    return any(check in text for check in CHECKS)


def leaves(body: list[ast.stmt]) -> bool:
    return isinstance(body[-1], ast.Return | ast.Raise | ast.Continue)


def guarded_parts(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the parts of a node that run only after a check."""
    if isinstance(node, ast.If | ast.IfExp) and is_check(node.test):
        yield node
    if isinstance(node, ast.BoolOp | ast.comprehension) and is_check(
        node.values[0] if isinstance(node, ast.BoolOp) else ast.Tuple(node.ifs)
    ):
        yield node
    if isinstance(node, ast.GeneratorExp | ast.ListComp) and any(map(is_check, node.generators[0].ifs)):
        yield node
    if isinstance(node, ast.Try) and any(
        handler.type is not None and ast.unparse(handler.type) in ("ImportError", "AttributeError")
        for handler in node.handlers
    ):
        yield from node.body
    body = getattr(node, "body", None)
    if isinstance(body, list):
        for number, statement in enumerate(body):
            early = isinstance(statement, ast.If) and is_check(statement.test) and leaves(statement.body)
            if early or (isinstance(statement, ast.Assert) and is_check(statement.test)):
                yield from body[number + 1 :]


def unguarded(source: str) -> list[tuple[int, str]]:
    """Return line and name of what a source uses, unchecked, although some systems lack it."""
    tree = ast.parse(source)
    safe = {id(inner) for node in ast.walk(tree) for part in guarded_parts(node) for inner in ast.walk(part)}
    found = []
    for node in ast.walk(tree):
        if id(node) not in safe:
            found += [(node.lineno, name) for name in uses(node)]
    return sorted(found)


def uses(node: ast.AST) -> Iterator[str]:
    """Yield what a node uses that some systems lack."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names if is_of_some_systems(alias.name))
    elif isinstance(node, ast.ImportFrom) and node.module:
        names = [alias.name for alias in node.names if lacks_somewhere(node.module, alias.name)]
        yield from [node.module] if is_of_some_systems(node.module) else names
    elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        module = node.value.id
        if not is_of_some_systems(module) and lacks_somewhere(module, node.attr):  # else its import tells
            yield f"{node.value.id}.{node.attr}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_some_systems_lack_is_used_behind_a_check(path):
    assert unguarded(path.read_text(encoding="utf-8")) == []


BAD = {
    "import fcntl": "fcntl",
    "import msvcrt": "msvcrt",
    "from resource import getrusage": "resource",
    "from signal import SIGHUP": "SIGHUP",
    "import os\nos.fork()": "os.fork",
    "import os\nos.geteuid()": "os.geteuid",
    "import signal\nx = (signal.SIGINT, signal.SIGHUP)": "signal.SIGHUP",
    "import signal\nsignal.pthread_sigmask(0, [])": "signal.pthread_sigmask",
    "import os\nos.sched_getaffinity(0)": "os.sched_getaffinity",
    "import os\nif ready:\n    os.fork()": "os.fork",
    "import os\nx = os.O_NONBLOCK": "os.O_NONBLOCK",
    "import os\nx = os.startfile": "os.startfile",
}


@pytest.mark.parametrize("source", BAD)
def test_what_is_used_without_a_check_is_found(source):
    assert [name for _, name in unguarded(source)] == [BAD[source]]


GOOD = [
    "import os\nif hasattr(os, 'fork'):\n    os.fork()",
    "import os, sys\ndef f():\n    if sys.platform == 'win32':\n        return\n    os.fork()",
    "import os, sys\ndef f():\n    assert sys.platform != 'win32'\n    os.fork()",
    "try:\n    import resource\nexcept ImportError:\n    resource = None",
    "import os\nx = os.O_BINARY if hasattr(os, 'O_BINARY') else 0",
    "import os, signal\nos.kill(1, signal.SIGINT)\nx = getattr(signal, 'SIGHUP', None)",
]


@pytest.mark.parametrize("source", GOOD)
def test_what_is_used_behind_a_check_is_right(source):
    assert unguarded(source) == []
