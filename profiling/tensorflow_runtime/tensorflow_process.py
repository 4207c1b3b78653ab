"""The process with TensorFlow, one for each number of threads; it ends with this one, or is started again."""

import atexit
import logging
import os
import socket
import subprocess
import sys
from collections import deque
from importlib.util import find_spec
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Lock
from typing import Any

from profiling.errors import ModelError
from profiling.printable_text import first_line

log = logging.getLogger(__name__)

_MODULE = "profiling.tensorflow_runtime.in_process.main"
_ABOVE = str(Path(__file__).parents[2])
# Its logs must not disturb, nor a GPU change what it answers.
_QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "", "TF_ENABLE_ONEDNN_OPTS": "0"}


class TensorFlowProcess:
    """Answers calls, one after another.

    Parameters
    ----------
    threads
        On which an operator computes.

    Raises
    ------
    ModelError
        If TensorFlow is not installed.
    """

    def __init__(self, threads: int) -> None:
        if find_spec("tensorflow") is None:
            raise ModelError(
                "model: needs tensorflow, which is not installed: pip install 'splitquant[tensorflow]'"
            )
        here, there = socket.socketpair()
        path = os.pathsep.join(filter(None, [_ABOVE, os.environ.get("PYTHONPATH")]))
        # With -P, files of the folder where this was started are not taken for modules.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", _MODULE, str(there.fileno()), str(threads)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[there.fileno()],
            env=os.environ | _QUIET | {"PYTHONPATH": path},
        )
        there.close()
        self._connection = Connection(here.detach())
        self._lock = Lock()
        self._kept: dict[bytes, int] = {}
        self._forgotten: deque[int] = deque()
        log.info("process %d with TensorFlow runs stages", self._process.pid)
        atexit.register(self._end)

    @property
    def has_ended(self) -> bool:
        """Whether it answers no more."""
        return self._connection.closed or self._process.poll() is not None

    def ask(self, command: str, *arguments: Any) -> Any:
        """Return what a command answers; `in_process.main` has them.

        Raises
        ------
        ModelError
            With what TensorFlow says of a failure, or if the process ended.
        """
        with self._lock:
            forgotten = [self._forgotten.popleft() for _ in range(len(self._forgotten))]
            try:
                self._connection.send((command, arguments, forgotten))
                is_done, answer = self._connection.recv()
            except (EOFError, OSError) as exc:
                raise ModelError(f"TensorFlow's process ended with code {self._process.wait()}") from exc
            except BaseException:  # an answer that nobody waits for would be taken for that of the next call
                self._kill()
                raise
        if not is_done:
            raise ModelError(f"TensorFlow: {first_line(answer)}")
        return answer

    def number_of(self, content: bytes) -> int:
        """Return the number of a SavedModel that stays open from the first call on."""
        if content not in self._kept:
            self._kept[content] = int(self.ask("open", content))
        return self._kept[content]

    def forget(self, number: int) -> None:
        """Close a model with the next call: this one may come in the middle of another call."""
        self._forgotten.append(number)

    def _kill(self) -> None:
        atexit.unregister(self._end)
        self._process.kill()
        self._process.wait()
        self._connection.close()

    def _end(self) -> None:
        self._connection.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()


_PROCESSES: dict[int, TensorFlowProcess] = {}
_STARTING = Lock()


def tensorflow_process(threads: int) -> TensorFlowProcess:
    """Return the process that computes on a number of threads; started at the first call, or if it ended."""
    with _STARTING:
        known = _PROCESSES.get(threads)
        if known is None or known.has_ended:
            _PROCESSES[threads] = TensorFlowProcess(threads)
        return _PROCESSES[threads]
