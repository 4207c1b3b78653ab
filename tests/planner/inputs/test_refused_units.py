import os
import subprocess
import sys
import threading

from repository import ROOT

from profiling import cache_lock
from profiling.cache_lock import one_at_a_time

REFUSED = """
from pathlib import Path
from planner.inputs.prepared_scenario import prepare
from planner.scenario.loader import load_scenario
from profiling.precision import Precision
units = prepare(load_scenario(Path("scenarios/quickstart.yaml"))).models.graph.units
print([unit.name for unit in units if not unit.can_be(Precision.INT8)])
"""


def test_what_another_process_tries_out_is_not_taken_for_a_crash(tmp_path):
    """All begin with nothing in the cache; a unit that one has noted is not refused by another."""
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    together = [
        subprocess.Popen([sys.executable, "-c", REFUSED], stdout=subprocess.PIPE, env=environment, cwd=ROOT)
        for _ in range(3)
    ]
    assert [process.communicate()[0].strip() for process in together] == [b"[]"] * 3


def test_processes_wait_for_each_other(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(cache_lock, "_SILENT_WAIT_S", 0.1)
    came: list[str] = []
    path = tmp_path / "x.lock"

    def other() -> None:
        with one_at_a_time(path):
            came.append("other")

    with one_at_a_time(path):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join(0.3)
        came.append("first")
    thread.join()
    assert came == ["first", "other"]
    assert f"waiting for another process that makes {tmp_path / 'x.json'}" in caplog.text


def test_without_a_folder_nobody_waits(tmp_path):
    with one_at_a_time(tmp_path / "no such folder" / "x.lock"):
        pass
