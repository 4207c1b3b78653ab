"""One run of the `measure.py` of a bundle, in a process of its own."""

from __future__ import annotations

import ctypes
import hashlib
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from planner.hosts.on_device.profile_messages import RunRequest, RunStatus

SCRIPT = "measure.py"
_PROGRESS = re.compile(r"(.{1,100}): (\d{1,9}) of (\d{1,9})")
_MOST_KINDS = 16  # of progress; a run has a few
_LONGEST_REASON = 500
_END_S = 5.0  # until a process that was killed is gone
_PR_SET_PDEATHSIG = 1  # Linux: sys/prctl.h
_C = ctypes.CDLL(None) if sys.platform == "linux" else None  # loaded here: not between fork and exec


class MeasureRun:
    """A run that begins at once, and ends by itself, when it is stopped, or when this process ends.

    Parameters
    ----------
    folder
        The bundle.
    """

    def __init__(self, folder: Path, request: RunRequest) -> None:
        self.request = request
        self._command = [str(folder / SCRIPT), f"--rounds={request.rounds}", f"--threads={request.threads}"]
        self._lock = threading.Lock()
        self._progress: dict[str, tuple[int, int]] = {}
        self._said = ""
        self._end: RunStatus | None = None
        self._is_stopped = False
        self._process: subprocess.Popen[str] | None = None
        # The thread that starts a process has to live as long as it: else Linux ends it, too.
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def status(self) -> RunStatus:
        """Return what is known of it now."""
        with self._lock:
            return self._end or RunStatus(is_running=True, progress=dict(self._progress))

    def stop(self) -> None:
        """End it, if it has not ended, and wait until its process is gone."""
        with self._lock:
            self._is_stopped = True
            if self._process is not None:
                self._process.kill()
        self._thread.join(_END_S)

    def _run(self) -> None:
        try:
            with tempfile.TemporaryDirectory() as folder:
                target = Path(folder) / "profile.json"
                code = self._measure([sys.executable, *self._command, str(target)], folder)
                text = target.read_text(encoding="utf-8") if code == 0 else ""
        except OSError as exc:
            self._ended(f"{exc.filename or SCRIPT}: {exc.strerror or exc}")
        else:
            self._ended(self._reason(code), text)

    def _measure(self, command: Sequence[str], folder: str) -> int:
        """Run the script, note what it says, and return its exit code."""
        with self._lock:
            if self._is_stopped:
                return -signal.SIGTERM
            self._process = subprocess.Popen(
                command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                preexec_fn=None if _C is None else _die_with_parent,
            )
        with self._process as process:
            assert process.stderr is not None
            for line in process.stderr:
                self._note(line.strip())
        return process.returncode

    def _note(self, line: str) -> None:
        match = _PROGRESS.fullmatch(line)
        with self._lock:
            if match is None:
                self._said = line[:_LONGEST_REASON] or self._said
            elif match[1] in self._progress or len(self._progress) < _MOST_KINDS:
                self._progress[match[1]] = (int(match[2]), int(match[3]))

    def _reason(self, code: int) -> str:
        if code == 0:
            return ""
        if code < 0:
            return f"{SCRIPT} was ended by signal {-code}; memory may have run out"
        return self._said or f"{SCRIPT} ended with code {code}"

    def _ended(self, reason: str, profile: str = "") -> None:
        sha256 = hashlib.sha256(profile.encode()).hexdigest()
        with self._lock:
            self._end = RunStatus(
                is_running=False, progress=dict(self._progress), reason=reason, profile=profile, sha256=sha256
            )


def _die_with_parent(library: Any = _C) -> None:
    """Let the kernel end this process when the thread ends that started it, killed or not."""
    assert sys.platform == "linux"
    library.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
