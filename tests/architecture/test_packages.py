"""Every package says what each of its modules is for, and CONTRIBUTING.md lists every package."""

import ast

import pytest
from repository import ROOT

PACKAGES = sorted(
    path.parent for name in ("planner", "profiling") for path in (ROOT / name).rglob("__init__.py")
)
CHECKED = ("planner", "profiling", "tests", "benchmarks")


@pytest.mark.parametrize("folder", PACKAGES, ids=lambda folder: str(folder.relative_to(ROOT)))
def test_a_package_names_its_modules_in_a_line_each(folder):
    tree = ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))
    lines = (ast.get_docstring(tree) or "").splitlines()
    named = [line.split(":")[0] for line in lines[2:]]
    modules = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    missing = modules - set(named)
    assert not missing, f"say in {folder.name}/__init__.py what {sorted(missing)} are for"


def test_the_guide_lists_every_package():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for folder in PACKAGES:
        name = str(folder.relative_to(ROOT))
        assert name.count("/") != 1 or f"`{name}`" in text, name


def test_no_archive_is_left_open():
    """An open file is reported when memory is collected: in whichever test runs then."""
    for path in (path for name in CHECKED for path in (ROOT / name).rglob("*.py")):
        nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        closed = {
            id(item.context_expr) for node in nodes if isinstance(node, ast.With) for item in node.items
        }
        loads = [node for node in nodes if isinstance(node, ast.Call) and ast.unparse(node.func) == "np.load"]
        assert all(id(load) in closed for load in loads), path
