import sys
import threading
import time

import pytest
from fake_run_clock import FakeRunClock

from profiling.on_device.clock import run_clock
from profiling.on_device.clock.run_clock import CPU, WALL, RunTime, clock_of
from profiling.on_device.measurement_order import XNNPACK

TELLS_THREAD_TIME = pytest.mark.skipif(sys.platform == "win32", reason="ticks of 15.6 ms")


def spin(seconds: float) -> None:
    ends = time.thread_time() + seconds
    while time.thread_time() < ends:
        pass


def test_one_thread_of_the_cpu_provider_is_told_by_its_processor_time():
    assert clock_of(1).kind == CPU
    assert clock_of(2).kind == WALL
    assert clock_of(1, "CUDAExecutionProvider").kind == WALL
    assert [clock_of(threads, XNNPACK).kind for threads in (1, 2)] == [CPU, WALL]


def test_windows_has_the_wall_clock_and_tells_no_waiting(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(run_clock, "resource", None)
    monkeypatch.setattr(run_clock, "_DELAYS", tmp_path / "none")
    clock = clock_of(1)
    runs = [clock.time(lambda: None)]
    assert clock.kind == WALL
    assert runs[0][1:] == (0.0, 0, False)
    assert clock.contended_share(runs) is None
    assert clock.disturbed_share(runs) is None
    assert clock.waiting(runs) is None


@TELLS_THREAD_TIME
def test_processor_time_leaves_out_what_a_thread_waits():
    run = clock_of(1).time(lambda: time.sleep(0.05))
    assert run.seconds < 0.04
    assert run.waited_s > 0.04
    assert run.is_disturbed


@TELLS_THREAD_TIME
def test_processor_time_leaves_out_what_other_threads_compute():
    other = threading.Thread(target=spin, args=(0.05,))
    other.start()
    run = clock_of(1).time(lambda: spin(0.01))
    other.join()
    assert 0.01 <= run.seconds < 0.04


@pytest.mark.skipif(not run_clock._DELAYS.is_file(), reason="the kernel tells no delays")
def test_wall_time_of_several_threads_says_how_long_they_waited_for_a_processor():
    clock = clock_of(2)
    run = clock.time(lambda: spin(0.01))
    assert run.seconds >= 0.01
    assert run.waited_s >= 0  # threads of this process may end meanwhile, and take theirs along
    assert clock.disturbed_share([run]) is not None


def test_what_disturbs_runs_is_told_of_all_of_them():
    clock = FakeRunClock(CPU).clock
    runs = [RunTime(1.0), RunTime(1.0, 0.04), RunTime(2.0, 4.0, 3), RunTime(0.0)]
    assert [run.is_disturbed for run in runs] == [False, False, True, False]
    assert clock.disturbed_share(runs) == 0.25
    assert clock.waiting(runs) == pytest.approx(4.04 / 4)
    assert clock.waiting([]) is None
    assert clock.disturbed_share([]) is None
