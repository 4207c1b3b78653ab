"""Starts the process with TensorFlow, waits for it, and says how it failed."""

import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec

from planner.conversion.request import (
    ANSWERS,
    CONVERSION,
    FAILURE,
    ORDER,
    ConversionRequest,
    SourceKind,
    read_request,
)
from profiling.errors import ModelError

log = logging.getLogger(__name__)

_WORKER = "planner.conversion.tf_worker.main"
_LOG = "log.txt"
_SAID_LAST = 30  # lines: a traceback with what came before it
# Its logs must not disturb, nor a GPU change what it answers; freed weights go back to the system.
_QUIET = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "CUDA_VISIBLE_DEVICES": "",
    "KERAS_BACKEND": "tensorflow",
    "MALLOC_ARENA_MAX": "2",
    "MALLOC_MMAP_THRESHOLD_": str(2**17),
    "MALLOC_TRIM_THRESHOLD_": str(2**17),
}
_WRITES = {"convert": CONVERSION, "answer": ANSWERS}  # last of all
_ABOVE = str(Path(__file__).parents[2])


def run_worker(command: str, request: ConversionRequest, folder: Path) -> None:
    """Let a process of its own do what a request asks, in a folder.

    Raises
    ------
    ModelError
        With what it says of its failure, or of its end.
    """
    (folder / ORDER).write_bytes(msgspec.json.encode(request))
    path = os.pathsep.join(filter(None, [_ABOVE, os.environ.get("PYTHONPATH")]))
    # With -P, files of the folder where this was started are not taken for modules.
    call = [sys.executable, "-P", "-m", _WORKER, command, str(folder)]
    with (folder / _LOG).open("wb") as output:
        process = subprocess.Popen(
            call,
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            env=os.environ | _QUIET | {"PYTHONPATH": path},
        )
        began = time.perf_counter()
        log.info("process %d with TensorFlow: %s %s", process.pid, command, request.shown)
        try:
            code = process.wait()
        finally:
            process.kill()
            process.wait()
    seconds = time.perf_counter() - began
    log.info("process %d with TensorFlow ended with code %d after %.1f s", process.pid, code, seconds)
    if code or not (folder / _WRITES[command]).is_file():
        for line in _last_lines(folder, _SAID_LAST):
            log.info("process %d with TensorFlow said: %s", process.pid, line)
        raise ModelError(_failure(folder, code))


def _failure(folder: Path, code: int) -> str:
    failure_file = folder / FAILURE
    if failure_file.is_file():
        return failure_file.read_text(encoding="utf-8")
    request = read_request(folder)
    user_code = request.shown if request.kind is SourceKind.OBJECT else request.custom_objects
    last = "".join(_last_lines(folder, 1))
    if user_code is not None and code >= 0:
        name, said = user_code.rpartition("/")[2], f": {last}" if last else ""
        return f"model: {name} ended the process that ran it, with exit code {code}{said}"
    if code < 0:
        name = signal.Signals(-code).name
        likely = "memory may have run out" if name == "SIGKILL" else "the file may be damaged"
        return f"model: TensorFlow ended with {name} over {request.shown}: {likely}"
    return f"model: TensorFlow's process failed: {last or f'exit code {code}'}"


def _last_lines(folder: Path, count: int) -> list[str]:
    """Return the end of what the process printed."""
    return (folder / _LOG).read_text(encoding="utf-8", errors="replace").strip().splitlines()[-count:]
