"""Runs the command in a child process, so that a crash of native code is told and what caused it left out.

ONNX Runtime and TensorFlow are native code: some models end them with a signal, without a word. Before a
unit is tried out quantized, `profiling.runtime.crash_journal` notes it; after a crash over such a unit the
command runs again, and the unit stays in float.
"""

import ctypes
import faulthandler
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from typing import IO

from planner.cli.process.error_reports import report_crash
from planner.cli.process.interrupts import interrupts
from profiling.directories import cache_folder
from profiling.runtime.crash_journal import confirm_crash

_MOST_CRASHES = 20
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
        with _stack_file() as stack:
            child = _fork(command, stack)
            status = _wait(child)
            if not os.WIFSIGNALED(status):
                sys.exit(os.waitstatus_to_exitcode(status))
            cause, where = _cause(os.WTERMSIG(status)), _where(os.WTERMSIG(status), stack)
        tried = _tried_by(child, started)
        if not tried:
            sys.exit(_tell(f"{cause}; nothing was written{where}", _FAILED))
        _tell(f"{cause} over {tried}, quantized: it stays in float", 0)
    sys.exit(_tell("ONNX Runtime crashed too often; nothing was written", _FAILED))


def _stack_file() -> IO[bytes]:
    """Return a file without a name for the stack of a crash; one that holds nothing where none can be."""
    with suppress(OSError):
        return tempfile.TemporaryFile()
    return open(os.devnull, "r+b")  # noqa: PTH123


def _fork(command: Callable[[], None], stack: IO[bytes]) -> int:
    """Return the process number of a child that runs a command, in a process group of its own.

    So signals of the terminal reach it once, through this process: `_wait` lets them through.
    """
    assert sys.platform != "win32"
    signal.pthread_sigmask(signal.SIG_BLOCK, interrupts())
    child = os.fork()
    if child:
        return child
    signal.pthread_sigmask(signal.SIG_UNBLOCK, interrupts())
    os.setpgid(0, 0)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    faulthandler.enable(stack)
    command()
    sys.exit(0)


def _wait(child: int) -> int:
    """Wait for a child, forwarding signals to it, and return its wait status."""
    assert sys.platform != "win32"

    def forward(number: int, _frame: object) -> None:
        os.kill(child, number)

    before = {number: signal.signal(number, forward) for number in interrupts()}
    signal.pthread_sigmask(signal.SIG_UNBLOCK, interrupts())  # from here on the child has them
    try:
        return os.waitpid(child, 0)[1]
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _tried_by(child: int, started: float) -> str:
    try:
        return confirm_crash(cache_folder(), child, started)
    except OSError:
        return ""


def _cause(number: int) -> str:
    name = signal.Signals(number).name
    if name == "SIGKILL":
        return "the process was killed; memory may have run out"
    return f"native code (ONNX Runtime or another library) crashed with {name}"


def _where(number: int, stack: IO[bytes]) -> str:
    """Return where Python's stack at the crash is kept, if it was told, for a message."""
    stack.seek(0)
    text = stack.read().decode(errors="replace")
    return f"; {report_crash(_cause(number), text)}" if text else ""


def _tell(text: str, code: int) -> int:
    print(text, file=sys.stderr, flush=True)
    return code
