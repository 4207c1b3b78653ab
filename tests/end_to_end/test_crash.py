"""Runs that are killed, and runs that meet: the output folder is always one whole plan."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from small_scenarios import write_small_scenario

from planner.output.saved_plan import read_manifest, read_plan

_MOMENTS = 12
_COMMAND = [sys.executable, "-c", "from planner.__main__ import main; main()"]
# Which units run on the server: plans of runs that follow each other are cut elsewhere.
_PINNED = ("Gemm_9: server", "Gemm_9: server, GlobalAveragePool_7: server")


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """Start a run of a small scenario into a folder, at a bandwidth that tells it from others."""
    scenario = tmp_path_factory.mktemp("scenario")
    write_small_scenario(scenario)

    def call(folder: Path, cache: Path, mbit: int) -> subprocess.Popen[str]:
        pin = f"{{'*': camera, {_PINNED[mbit % 2]}}}"
        return subprocess.Popen(
            [
                *_COMMAND,
                *(scenario / "s.yaml", "--out", folder),
                *("--set", f"links.0.bandwidth_mbit_per_s={mbit}", "--set", f"placement.pin={pin}"),
            ],
            env=os.environ | {"XDG_CACHE_HOME": str(cache)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    return call


def bandwidth(folder: Path) -> float:
    """Return which run wrote a plan folder; raises unless all of it is there and from one run."""
    manifest = read_manifest(folder)
    plan = read_plan(folder)
    assert manifest.cuts
    assert {(c.tensor, c.target) for c in manifest.cuts} == {(c.tensor, c.target) for c in plan.cuts}
    return json.loads(bytes(plan.scenario))["links"][0]["bandwidth_mbit_per_s"]


def finish(process: subprocess.Popen[str]) -> None:
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err


@pytest.fixture(scope="module")
def seconds(start, tmp_path_factory) -> float:
    """How long a run takes whose profile is known."""
    folder = tmp_path_factory.mktemp("timed")
    for _ in range(2):
        begin = time.monotonic()
        finish(start(folder / "o", folder, 1))
    return time.monotonic() - begin


def test_a_run_that_is_killed_leaves_the_old_plan_or_the_new(start, tmp_path, seconds):
    folder, cache = tmp_path / "plans" / "o", tmp_path / "cache"
    finish(start(folder, tmp_path / "first", 1))
    seen = set()
    for moment in range(_MOMENTS):
        old, new = bandwidth(folder), 2 + moment
        process = start(folder, cache, new)
        # Half of the moments over the whole run, half where it writes.
        share = moment / _MOMENTS * 2 if moment % 2 else 0.85 + 0.3 * moment / _MOMENTS
        time.sleep(min(share, 1.15) * seconds)
        process.kill()
        process.communicate(timeout=60)
        assert bandwidth(folder) in (old, new)
        seen.add(bandwidth(folder) == new)
    finish(start(folder, cache, 99))  # whatever the killed runs left in the cache
    assert bandwidth(folder) == 99


def test_two_runs_into_one_folder_do_not_mix(start, tmp_path):
    folder = tmp_path / "plans" / "o"
    both = [start(folder, tmp_path / "cache", mbit) for mbit in (1, 100)]
    for process in both:
        finish(process)
    assert bandwidth(folder) in (1, 100)
    assert [path.name for path in folder.parent.iterdir()] == ["o"]


@pytest.mark.parametrize("delay_s", [0.0, 0.4, 0.8])
def test_processes_beside_leave_without_a_word(delay_s):
    code = (
        "import signal, time\n"
        "from planner.solver.process_pool import process_map\n"
        "if __name__ == '__main__':\n"
        "    with process_map(2) as mapped:\n"
        "        print('ready', flush=True)\n"
        "        list(mapped(time.sleep, [60, 60, 60]))\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout.readline() == "ready\n"
    time.sleep(delay_s)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == -signal.SIGINT  # nothing catches it in this script
    assert "KeyboardInterrupt" in err  # the script's own
    assert "Worker" not in err
    assert not all(_is_there(process.pid) for _ in range(50))


def _is_there(group: int) -> bool:
    """Return whether anybody of a process group is left; those that end get a moment."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    time.sleep(0.1)
    return True


def test_a_failure_beside_is_raised_once_and_ends_the_others():
    code = (
        "import time\n"
        "from planner.solver.process_pool import process_map\n"
        "if __name__ == '__main__':\n"
        "    with process_map(2) as mapped:\n"
        "        list(mapped(time.sleep, [-1, 60, 60, 60]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=40)
    assert done.stderr.count("ValueError: sleep length must be non-negative") == 2  # there, and here
    assert "Exception in thread" not in done.stderr
