"""A run goes with the process that started it."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("zenoh", reason="needs the extra: pip install 'splitquant[hosts]'")

WAITS = "import os, time; open(__file__ + '.pid', 'w').write(f'{os.getpid()} '); time.sleep(600)"
STARTS = """
import sys, time
from pathlib import Path
from planner.hosts.on_device.measure_run import MeasureRun
from planner.hosts.on_device.profile_messages import RunRequest

MeasureRun(Path(sys.argv[1]), RunRequest("a" * 32, 8, 1))
time.sleep(600)
"""
LONG_S = 30.0


def wait_until(holds) -> None:
    end = time.monotonic() + LONG_S
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


def is_alive(process: int) -> bool:
    stat = Path(f"/proc/{process}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel does it")
def test_a_run_that_says_nothing_ends_with_a_server_that_is_killed(tmp_path):
    (tmp_path / "measure.py").write_text(WAITS)
    noted = tmp_path / "measure.py.pid"
    with subprocess.Popen([sys.executable, "-c", STARTS, str(tmp_path)]) as server:
        wait_until(lambda: noted.exists() and noted.read_text().endswith(" "))
        run = int(noted.read_text())
        assert is_alive(run)
        server.kill()
    try:
        wait_until(lambda: not is_alive(run))
    finally:
        if is_alive(run):
            os.kill(run, 9)
