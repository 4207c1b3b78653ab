"""The command starts, solves and profiles where the system lacks what Windows lacks."""

import json
import os
import subprocess
import sys
from pathlib import Path

import models
import numpy as np
import onnx
import pytest
from repository import ROOT
from terminal_text import without_progress

# Not what libraries use themselves, who look at the name of the system.
_SITE = """
import os, signal
for module, names in {
    os: ("fork", "setpgid", "WIFSIGNALED", "WTERMSIG", "sched_getaffinity", "sched_setaffinity"),
    signal: ("SIGHUP", "SIGKILL", "SIGALRM", "setitimer", "ITIMER_REAL", "pthread_sigmask"),
}.items():
    for name in names:
        delattr(module, name)
"""
_CALL = [sys.executable, "-W", "ignore", "-c", "from planner.__main__ import main; main()"]


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("system")
    (folder / "sitecustomize.py").write_text(_SITE)
    onnx.save(models.residual(), folder / "m.onnx")
    x = np.random.default_rng(0).standard_normal((40, 1, 2, 8, 8)).astype(np.float32)
    np.savez(folder / "d.npz", x=x[:32])
    np.savez(folder / "e.npz", x=x[32:])
    scenario = {
        "model": "m.onnx",
        "data": {"calibration": {"npz": "d.npz"}, "evaluation": {"npz": "e.npz"}},
        "devices": [{"name": "a"}, {"name": "b", "scaled_from": "a", "speedup": 10}],
        "links": [{"from": "a", "to": "b", "bandwidth_mbit_per_s": 1}],
        "source": "a",
        "sink": "b",
        "profiling": {"rounds": 3, "noise_samples": 2},
    }
    (folder / "s.yaml").write_text(json.dumps(scenario))
    return folder


def call(place: Path, *arguments: object) -> subprocess.CompletedProcess:
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(place), str(ROOT)]),
        "XDG_CACHE_HOME": str(place / "cache"),
        "TMPDIR": str(place),  # what these processes see of cores says nothing to others
    }
    return subprocess.run(
        [*_CALL, *map(str, arguments)],
        cwd=place,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ("solve", ROOT / "scenarios" / "problem.json", "--json"),
        ("s.yaml", "--out", "plan", "--json"),
        ("compare", "s.yaml", "--bandwidth", "1,10", "--json", "--out", "compared"),
        ("cache", "--json"),
        ("cache", "clear", "--json"),
    ],
    ids=lambda arguments: str(arguments[0]),
)
def test_the_command_starts_and_plans(place, arguments):
    done = call(place, *arguments)
    assert (done.returncode, without_progress(done.stderr)) == (0, "")
    json.loads(done.stdout)
