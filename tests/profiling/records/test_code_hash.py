"""A changed source file changes the key of what its code makes, and of nothing else."""

import importlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from repository import ROOT

from profiling.records import code_hash as module
from profiling.records.code_hash import code_hash

FILES = {
    "__init__.py": "",
    "maker.py": "from own.direct import helper\n\ndef make():\n    return helper()\n",
    "direct.py": "def helper():\n    import own.late\n    return own.late.VALUE\n",
    "late.py": "from own.group import member\nVALUE = 1\n",
    "group/__init__.py": "",
    "group/member.py": "import json\n",
    "unrelated.py": "VALUE = 1\n",
}


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A package that a test may change."""
    for name, text in FILES.items():
        path = tmp_path / "own" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path / "own"
    _forget()


def _forget() -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "own"]:
        del sys.modules[name]
    importlib.invalidate_caches()
    module._hash.cache_clear()
    module._source.cache_clear()


def hash_now() -> str:
    _forget()
    return code_hash(importlib.import_module("own.maker").make)


@pytest.mark.parametrize("name", ["maker.py", "direct.py", "late.py", "group/member.py"])
def test_every_module_that_is_imported_counts(own, name):
    before = hash_now()
    (own / name).write_text(FILES[name] + "# changed\n")
    assert hash_now() != before
    (own / name).write_text(FILES[name])
    assert hash_now() == before


def test_a_module_that_is_not_imported_does_not_count(own):
    before = hash_now()
    (own / "unrelated.py").write_text("VALUE = 2\n")
    assert hash_now() == before


def test_where_a_package_is_installed_does_not_count(own, monkeypatch, tmp_path):
    before = hash_now()
    with zipfile.ZipFile(tmp_path / "own.zip", "w") as archive:
        for name, text in FILES.items():
            archive.writestr(f"own/{name}", text)
    shutil.rmtree(own)
    monkeypatch.syspath_prepend(tmp_path / "own.zip")
    assert hash_now() == before


_KEYS = """
from planner.solver.solve import solve
from profiling.latency.measure_latency import measure_latency
from profiling.records.cache import cache_key
print(cache_key(solve, problem=1), cache_key(measure_latency, model=1))
"""


def keys(folder: Path) -> tuple[str, str]:
    done = subprocess.run(
        [sys.executable, "-c", _KEYS],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=True,
    )
    solved, latency = done.stdout.split()
    return solved, latency


def test_a_changed_solver_asks_for_new_answers_and_keeps_profiles(tmp_path):
    for package in ("planner", "profiling"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    before = keys(tmp_path)
    with (tmp_path / "planner/solver/milp/program.py").open("a") as file:
        file.write("# changed\n")
    after = keys(tmp_path)
    assert (after[0] != before[0], after[1] == before[1]) == (True, True)
    with (tmp_path / "profiling/on_device/timing/interleaved_rounds.py").open("a") as file:
        file.write("# changed\n")
    assert keys(tmp_path)[1] != after[1]
