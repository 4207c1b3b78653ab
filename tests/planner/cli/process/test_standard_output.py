"""What a process writes to descriptor 1 is the command's answer alone, whatever libraries print."""

import json
import os
import select
import subprocess
import sys
from pathlib import Path

import models
import numpy as np
import onnx
import pytest
from repository import ROOT

_CALL = [sys.executable, "-c", "from planner.__main__ import main; main()"]
# It prints when a library is imported and when the process ends, in all ways there are.
_LOUD = """
import contextlib, ctypes, os, sys

def shout(*_):
    print("noise of Python")
    print("noise of the first stream", file=sys.__stdout__, flush=True)
    ctypes.CDLL(None).puts(b"noise of C")
    with contextlib.suppress(OSError):  # where it is closed
        os.write(1, b"noise of a descriptor\\n")

class Finder:
    def find_spec(self, name, *_):
        if name in ("cyclopts", "numpy", "onnxruntime", "pulp", "highspy"):
            shout()

def metric(outputs, labels):
    print("noise of Python")
    return 1.0
"""
_SITE = "import atexit, sys, loud\nsys.meta_path.insert(0, loud.Finder())\natexit.register(loud.shout)\n"


class Place:
    """A folder with a scenario, and a Python whose libraries print."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "loud.py").write_text(_LOUD)
        (folder / "sitecustomize.py").write_text(_SITE)
        onnx.save(models.residual(), folder / "m.onnx")
        x = np.random.default_rng(0).standard_normal((8, 1, 2, 8, 8)).astype(np.float32)
        np.savez(folder / "d.npz", x=x)
        scenario = {
            "model": "m.onnx",
            "data": {"calibration": {"npz": "d.npz"}, "evaluation": {"npz": "d.npz"}},
            "devices": [{"name": "a"}, {"name": "b", "scaled_from": "a", "speedup": 10}],
            "links": [{"from": "a", "to": "b", "bandwidth_mbit_per_s": 1}],
            "source": "a",
            "sink": "b",
            "metric": "loud:metric",
            "profiling": {"rounds": 3, "noise_samples": 2},
        }
        (folder / "s.yaml").write_text(json.dumps(scenario))

    def call(self, *arguments: object, **streams: object) -> subprocess.CompletedProcess:
        env = os.environ | {
            "PYTHONPATH": os.pathsep.join([str(self.folder), str(ROOT)]),
            "XDG_CACHE_HOME": str(self.folder / "cache"),
        }
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | streams
        command = [*_CALL, *map(str, arguments)]
        return subprocess.run(command, cwd=self.folder, env=env, check=False, timeout=300, **streams)

    @property
    def log(self) -> str:
        return (self.folder / "cache" / "splitquant" / "output.log").read_text()


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Place:
    made = Place(tmp_path_factory.mktemp("loud"))
    delivered = made.call("s.yaml", "--out", "plan", "--json")
    assert delivered.returncode == 0, delivered.stderr
    json.loads(delivered.stdout)
    return made


PROBLEM = ROOT / "scenarios" / "problem.json"
JSON = [
    ("s.yaml", "--out", "again", "--json"),
    ("profile", "s.yaml", "--json"),
    ("verify", "plan", "--json"),
    ("inspect", "m.onnx", "--json"),
    ("solve", PROBLEM, "--json"),
    ("compare", "s.yaml", "--bandwidth", "1,10", "--verify", "--jobs", "2", "--json", "--out", "verified"),
    ("schema",),
    ("schema", "--problem"),
]


@pytest.mark.parametrize("arguments", JSON, ids=lambda arguments: " ".join(map(str, arguments[:1])))
def test_json_is_the_one_thing_on_standard_output(place, arguments):
    done = place.call(*arguments)
    assert done.returncode == 0, done.stderr
    json.loads(done.stdout)
    assert b"noise of Python" in done.stderr  # what a user's own code prints is for the user to see
    for text in ("of the first stream", "of C", "of a descriptor"):
        assert f"noise {text}" in place.log
        assert f"noise {text}".encode() not in done.stderr


TEXT = [
    ("s.yaml", "--out", "again"),
    ("profile", "s.yaml"),
    ("verify", "plan"),
    ("inspect", "m.onnx"),
    ("solve", PROBLEM),
    ("export", "plan/plan.json", "--out", "exported"),
    ("run", "plan", "--input", "d.npz", "--output", "answers.npz"),
    ("--version",),
    ("--help",),
]


@pytest.mark.parametrize("arguments", TEXT, ids=lambda arguments: arguments[0])
def test_tables_stand_alone_on_standard_output(place, arguments):
    done = place.call(*arguments)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert b"noise of" not in done.stdout


@pytest.mark.parametrize(
    "arguments", [("schema",), ("solve", PROBLEM, "--json"), ("solve", PROBLEM), ("--help",)]
)
def test_a_reader_that_leaves_ends_the_command_quietly(place, arguments):
    ends = os.pipe()
    os.close(ends[0])
    try:
        done = place.call(*arguments, stdout=ends[1])
    finally:
        os.close(ends[1])
    assert done.returncode == 141
    assert not [line for line in done.stderr.splitlines() if not line.startswith(b"noise")]


@pytest.mark.skipif(not hasattr(select, "poll"), reason="there is no way to see that a reader left")
@pytest.mark.parametrize("options", [(), ("--quiet",)])
def test_a_reader_that_leaves_ends_a_command_that_still_computes(place, options):
    """Nothing is written: what was asked for cannot be told."""
    ends = os.pipe()
    os.close(ends[0])
    try:
        done = place.call("s.yaml", "--out", "unread", *options, stdout=ends[1])
    finally:
        os.close(ends[1])
    assert done.returncode == 141
    assert not (place.folder / "unread").exists()


@pytest.mark.parametrize("arguments", [("schema",), ("inspect", "m.onnx", "--json"), ("--version",)])
def test_a_full_standard_output_is_told_in_one_line(place, arguments):
    with Path("/dev/full").open("w") as full:
        done = place.call(*arguments, stdout=full)
    said = [line for line in done.stderr.splitlines() if not line.startswith(b"noise")]
    assert (done.returncode, said) == (1, [b"standard output: No space left on device"])


def closed(place, number: int, *arguments: object) -> subprocess.CompletedProcess:
    """Call with a descriptor closed from the start, as a shell's >&- does."""
    return place.call(*arguments, preexec_fn=lambda: os.close(number))


def test_a_closed_standard_output_is_told_in_one_line(place):
    done = closed(place, 1, "schema")
    said = [line for line in done.stderr.splitlines() if not line.startswith(b"noise")]
    assert (done.returncode, said) == (1, [b"standard output is closed"])


@pytest.mark.parametrize("number", [0, 2])
def test_another_closed_stream_changes_no_answer(place, number):
    done = closed(place, number, "inspect", "m.onnx", "--json")
    assert done.returncode == 0
    json.loads(done.stdout)


def test_without_a_log_the_noise_goes_nowhere(place):
    blocked = place.folder / "blocked"
    blocked.write_text("a file, no folder")
    env = os.environ | {"PYTHONPATH": f"{place.folder}{os.pathsep}{ROOT}", "XDG_CACHE_HOME": str(blocked)}
    done = subprocess.run([*_CALL, "schema"], env=env, capture_output=True, check=False)
    assert done.returncode == 0
    json.loads(done.stdout)
