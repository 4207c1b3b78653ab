"""Runs the command in a child process, so that a crash of native code is told and what caused it left out.

ONNX Runtime and TensorFlow are native code: some models end them with a signal, without a word. Before a
unit is tried out quantized, `profiling.runtime.crash_journal` notes it; after a crash over such a unit the
command runs again, and the unit stays in float.
"""

import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence

from profiling.directories import cache_folder
from profiling.runtime.crash_journal import last_notes

_MOST_CRASHES = 20
_FORWARDED = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
_PR_SET_PDEATHSIG = 1  # Linux: sys/prctl.h
_FAILED = 1


def run_supervised(command: Callable[[], None]) -> None:
    """Run a command in a child process and exit as it does; once more after each crash over a unit.

    Where the system cannot fork, the command runs in this process.
    """
    if not hasattr(os, "fork"):
        command()
        return
    for _ in range(_MOST_CRASHES):
        started = time.time()
        status = _wait(_fork(command))
        if not os.WIFSIGNALED(status):
            sys.exit(os.waitstatus_to_exitcode(status))
        number = os.WTERMSIG(status)
        notes = _fresh_notes(started)
        if not notes:
            sys.exit(_tell(f"{_cause(number)}; nothing was written", _FAILED))
        _tell(f"{_cause(number)} over {notes[-1]}, quantized: it stays in float", 0)
    sys.exit(_tell("ONNX Runtime crashed too often; nothing was written", _FAILED))


def _fork(command: Callable[[], None]) -> int:
    """Return the process number of a child that runs a command, in a process group of its own.

    So signals of the terminal reach it once, through this process.
    """
    child = os.fork()
    if child:
        return child
    os.setpgid(0, 0)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    command()
    sys.exit(0)


def _wait(child: int) -> int:
    """Wait for a child, forwarding signals to it, and return its wait status."""

    def forward(number: int, _frame: object) -> None:
        os.kill(child, number)

    before = {number: signal.signal(number, forward) for number in _FORWARDED}
    try:
        return os.waitpid(child, 0)[1]
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _fresh_notes(started: float) -> Sequence[str]:
    try:
        return last_notes(cache_folder(), started)
    except OSError:
        return ()


def _cause(number: int) -> str:
    if number == signal.SIGKILL:
        return "the process was killed; memory may have run out"
    return f"native code (ONNX Runtime or another library) crashed with {signal.Signals(number).name}"


def _tell(text: str, code: int) -> int:
    print(text, file=sys.stderr, flush=True)
    return code
