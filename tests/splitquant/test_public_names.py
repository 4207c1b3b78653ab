import ast
import inspect
import subprocess
import sys
import tomllib
import zipfile

import pytest
from repository import ROOT

import planner.errors
import profiling.errors
import splitquant as sq
from planner.errors import PlannerError
from profiling.errors import ProfilingError

RUNTIMES = {"onnxruntime", "onnx", "tensorflow"}
SOLVERS = {"pulp", "highspy"}
OTHERS = {"zenoh", "matplotlib", "pandas", "pydantic", "networkx", "numpy"}
SOURCE = ROOT / "splitquant" / "__init__.py"


def modules_after(code: str) -> set[str]:
    """Return the modules that a process of its own has loaded after some code."""
    shown = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys\nprint(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    return set(shown.stdout.split())


def test_the_import_loads_no_runtime_solver_or_figures():
    assert not modules_after("import splitquant") & (RUNTIMES | SOLVERS | OTHERS)
    assert "splitquant" in modules_after("import splitquant")


def test_a_problem_is_solved_without_a_runtime():
    code = """
import splitquant as sq
unit = sq.Unit("u", [sq.Option("a", 1.0)])
assert sq.solve(sq.Problem(devices=[sq.Device("a")], units=[unit])).latency_s == 1.0
"""
    assert not modules_after(code) & (RUNTIMES | {"zenoh", "matplotlib", "pandas"})


def test_a_scenario_is_loaded_and_errors_are_named_without_a_runtime_or_a_solver():
    code = "import splitquant as sq\nsq.load_scenario('scenarios/quickstart.yaml')\nsq.DataError"
    assert not modules_after(code) & (RUNTIMES | SOLVERS | {"zenoh", "matplotlib", "pandas"})


def test_every_public_name_is_there_and_documented():
    assert sorted(sq.__all__) == sq.__all__
    assert set(sq._HOME_OF) == set(sq.__all__)
    for name in sq.__all__:
        value = getattr(sq, name)
        assert inspect.getdoc(value), name
        assert name in dir(sq)
        if inspect.isclass(value) and value.__module__.startswith("splitquant"):
            for attribute, member in vars(value).items():
                if not attribute.startswith("_") and (callable(member) or isinstance(member, property)):
                    assert inspect.getdoc(member), f"{name}.{attribute}"


def test_type_checkers_see_the_names_that_programs_see():
    tree = ast.parse(SOURCE.read_text(encoding="utf-8"))
    seen = next(node for node in tree.body if isinstance(node, ast.If))
    imported = {(alias.name, node.module) for node in seen.body for alias in node.names}
    assert imported == set(sq._HOME_OF.items())


def test_another_name_is_told_as_of_any_module():
    with pytest.raises(AttributeError, match="module 'splitquant' has no attribute 'planner_'"):
        getattr(sq, "planner_")  # noqa: B009
    assert not hasattr(sq, "PlannerError")


def test_a_star_import_gives_the_public_names():
    names: dict[str, object] = {}
    exec("from splitquant import *", names)
    assert set(sq.__all__) <= names.keys()


def test_all_errors_have_one_base():
    errors = [getattr(sq, name) for name in sq.__all__ if name.endswith("Error")]
    assert len(errors) == 13
    assert all(issubclass(error, sq.SplitquantError) for error in errors)
    assert str(sq.DataError("one", "two")) == str(sq.ModelError("one", "two")) == "one\ntwo"


def test_every_error_that_the_tool_raises_is_public_or_a_kind_of_one_that_is():
    bases = {sq.SplitquantError, PlannerError, ProfilingError}
    public = {getattr(sq, name) for name in sq.__all__ if name.endswith("Error")} - bases
    for module in (planner.errors, profiling.errors):
        classes = {value for value in vars(module).values() if inspect.isclass(value)}
        for error in {one for one in classes if issubclass(one, sq.SplitquantError)} - bases:
            assert any(issubclass(error, one) for one in public), error


def test_the_wheel_says_that_it_is_typed(tmp_path):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert packages == ["planner", "profiling", "splitquant"]
    markers = {f"{package}/py.typed" for package in packages}
    assert all((ROOT / marker).is_file() for marker in markers)
    builder = pytest.importorskip("hatchling.builders.wheel").WheelBuilder(str(ROOT))
    (wheel,) = builder.build(directory=str(tmp_path), versions=["standard"])
    with zipfile.ZipFile(wheel) as archive:
        assert markers | {"splitquant/__init__.py"} <= set(archive.namelist())
