"""Starts the process with TensorFlow, waits for it, and says how it failed."""

import os
import signal
import subprocess
import sys
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

_WORKER = "planner.conversion.tf_worker.main"
_LOG = "log.txt"
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
    with (folder / _LOG).open("wb") as log:
        process = subprocess.Popen(
            call,
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            env=os.environ | _QUIET | {"PYTHONPATH": path},
        )
        try:
            code = process.wait()
        finally:
            process.kill()
            process.wait()
    if code or not (folder / _WRITES[command]).is_file():
        raise ModelError(_failure(folder, code))


def _failure(folder: Path, code: int) -> str:
    failure_file = folder / FAILURE
    if failure_file.is_file():
        return failure_file.read_text(encoding="utf-8")
    request = read_request(folder)
    user_code = request.shown if request.kind is SourceKind.OBJECT else request.custom_objects
    if user_code is not None and code >= 0:
        return f"model: {user_code.rpartition('/')[2]} ended the process that ran it, with exit code {code}"
    if code < 0:
        name = signal.Signals(-code).name
        likely = "memory may have run out" if name == "SIGKILL" else "the file may be damaged"
        return f"model: TensorFlow ended with {name} over {request.shown}: {likely}"
    last = (folder / _LOG).read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
    return f"model: TensorFlow's process failed: {''.join(last) or f'exit code {code}'}"
