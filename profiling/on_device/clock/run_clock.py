"""The clock of runs: processor time where one thread computes, as other work is not in it, else wall."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, NamedTuple

from profiling.on_device.clock.core_contention import OwnCore, own_core
from profiling.on_device.measurement_order import XNNPACK

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

CPU, WALL = "cpu", "wall"
# With one thread they compute in the thread that calls them.
_CPU_PROVIDER = "CPUExecutionProvider"
_CPU_PROVIDERS = (_CPU_PROVIDER, XNNPACK)
_TASKS, _DELAYS = Path("/proc/self/task"), Path("/proc/self/schedstat")  # of Linux
_NANO = 1e-9
# A run that waited for more than this part of its seconds is disturbed: such are timed anew where they can.
_DISTURBED = 0.05


class RunTime(NamedTuple):
    """What one run took.

    Parameters
    ----------
    seconds
        By the clock.
    waited_s
        For how long threads that could have computed had no processor, all of them together.
    switches
        How often other work took the processor away.
    is_contended
        Whether something else computed on its core when it ended.
    """

    seconds: float
    waited_s: float = 0.0
    switches: int = 0
    is_contended: bool = False

    @property
    def is_disturbed(self) -> bool:
        """Whether the run waited for more than 5 % of its seconds."""
        return self.waited_s > _DISTURBED * self.seconds


@dataclass(frozen=True)
class RunClock:
    """Reads what a run takes; each function counts from some moment in the past.

    Parameters
    ----------
    kind
        `CPU`: the seconds are this thread's own, without those in which other work ran. `WALL`: with them.
    seconds
        What counts.
    waited
        Seconds without a processor, as those of `RunTime`; None where the system does not tell.
    switches
        Involuntary context switches.
    core
        Gets the thread a core of its own; None where that is not possible.
    """

    kind: str
    seconds: Callable[[], float]
    waited: Callable[[], float] | None
    switches: Callable[[], int]
    core: OwnCore | None = None

    def time(self, call: Callable[[], object]) -> RunTime:
        """Return what a call takes."""
        return self.warm_up(call)._replace(is_contended=self.is_contended)

    def warm_up(self, call: Callable[[], object]) -> RunTime:
        """Return what a call takes, without a look at its core, which costs time and empties caches."""
        switches, waited_s, start = self.switches(), self.read_waited(), self.seconds()
        call()
        seconds = self.seconds() - start
        waited_s = max(0.0, self.read_waited() - waited_s)
        return RunTime(seconds, waited_s, self.switches() - switches)

    @property
    def is_contended(self) -> bool:
        """Whether something else is known to compute on this core now."""
        return self.core is not None and self.core.is_contended()

    def wait_for_core(self, measured_s: float = 0.0) -> bool:
        """Wait for this core to be the thread's own, as `OwnCore.wait` does."""
        return self.core is not None and self.core.wait(measured_s)

    def leave_core(self) -> None:
        """Let the thread run on all its cores again, where `wait_for_core` moved it to one."""
        if self.core is not None:
            self.core.leave()

    def visiting_cores(self) -> contextlib.AbstractContextManager[None]:
        """Return the context in which `wait_for_core` may move the thread."""
        return contextlib.nullcontext() if self.core is None else self.core.visited()

    def read_waited(self) -> float:
        """Return how long was waited so far; 0 where the system does not tell."""
        return self.waited() if self.waited is not None else 0.0

    def disturbed_share(self, runs: Sequence[RunTime]) -> float | None:
        """Return which part of runs was disturbed; None where the system does not tell."""
        if self.waited is None or not runs:
            return None
        return sum(run.is_disturbed for run in runs) / len(runs)

    def contended_share(self, runs: Sequence[RunTime]) -> float | None:
        """Return which part of runs shared its core; None where that cannot be told."""
        if self.core is None or not runs:
            return None
        return sum(run.is_contended for run in runs) / len(runs)

    def waiting(self, runs: Sequence[RunTime]) -> float | None:
        """Return the seconds that runs waited per second of them; None where the system does not tell."""
        seconds = sum(run.seconds for run in runs)
        if self.waited is None or seconds <= 0:
            return None
        return sum(run.waited_s for run in runs) / seconds


def clock_of(threads: int, provider: str = _CPU_PROVIDER) -> RunClock:
    """Return the clock for a session: processor time if it computes in the calling thread alone.

    Windows counts a thread's processor time in ticks of 15.6 ms, in which many runs would take nothing.
    """
    ticks_finely = hasattr(time, "thread_time") and sys.platform != "win32"
    if not ticks_finely or provider not in _CPU_PROVIDERS:
        return RunClock(WALL, time.perf_counter, _delays(), _involuntary_switches)
    if threads == 1:
        core = own_core(moves=True)
        return RunClock(CPU, time.thread_time, _without_processor, _involuntary_switches, core)
    return RunClock(WALL, time.perf_counter, _delays(), _involuntary_switches, own_core(moves=False))


def _delays() -> Callable[[], float] | None:
    return _thread_delays if _DELAYS.is_file() else None


def _without_processor() -> float:
    """Return seconds in which this thread did not compute."""
    return time.perf_counter() - time.thread_time()


def _involuntary_switches() -> int:
    """Return how often this thread, or where that is not known this process, lost its processor."""
    if resource is None:
        return 0
    return resource.getrusage(getattr(resource, "RUSAGE_THREAD", resource.RUSAGE_SELF)).ru_nivcsw


def _thread_delays() -> float:
    """Return seconds in which threads of this process could have run and waited for a processor.

    Switches do not tell that: threads of one session take the processor from each other whenever one
    wakes another, on a quiet machine as well.
    """
    return sum(map(_delay, _TASKS.iterdir())) * _NANO


def _delay(task: Path) -> int:
    try:
        return int((task / _DELAYS.name).read_text().split()[1])
    except OSError:  # it has just ended
        return 0
