"""What the texts of the program may not hold, read from its source."""

import ast
import re

import pytest
from repository import ROOT

SOURCES = [
    path
    for folder in ("planner", "profiling", "splitquant")
    for path in sorted((ROOT / folder).rglob("*.py"))
]
FIELD = re.compile(r"\{[A-Za-z_][\w.]*(\[[^\]]*\])?(![rsa])?(:[^\s{}]*)?\}")
FILLED_BY_RICH = {"{task.description}"}


def unfilled(source: str) -> list[tuple[int, str]]:
    """Return line and text of every string that looks like an f-string and is none."""
    tree = ast.parse(source)
    documents = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    return [
        (node.lineno, node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and FIELD.search(node.value)
        and id(node) not in documents
        and not _is_format(node, tree)
        and node.value not in FILLED_BY_RICH
    ]


def _is_format(node: ast.Constant, tree: ast.Module) -> bool:
    """Return whether `.format` fills a text."""
    return any(
        isinstance(one, ast.Attribute) and one.attr == "format" and one.value is node
        for one in ast.walk(tree)
    )


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_text_holds_a_field_that_nothing_fills(path):
    assert unfilled(path.read_text(encoding="utf-8")) == []


def test_a_field_that_nothing_fills_is_found():
    assert unfilled('raise ValueError("no {name!r}")') == [(1, "no {name!r}")]
    assert unfilled('x = f"{a} of " "{b:.3f}"') == [(1, " of {b:.3f}")]
    for good in ('f"{name}"', '"{name}".format(name=1)', '"give {file: ...}"', '"{}"'):
        assert unfilled(f"x = {good}") == []
