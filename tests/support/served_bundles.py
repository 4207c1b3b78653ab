"""Bundles that are served by processes on this machine, and the runs of theirs that are left."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

_START_S, _POLL_S = 60.0, 0.02


class ServedBundle:
    """A bundle and the process that serves it; leaving it ends the process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder.with_name(f"{folder.name}.log")
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "ServedBundle":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Start it, and wait until it serves."""
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, str(self.folder / "profile_server.py")],
                cwd="/",
                stdout=log,
                stderr=log,
                env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
            )
        end = time.monotonic() + _START_S
        while b" serves " not in (seen := self.log.read_bytes()):
            assert self._process.poll() is None, seen.decode()
            assert time.monotonic() < end, seen.decode()
            time.sleep(_POLL_S)

    def kill(self) -> None:
        """End it without a chance to say so."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def suspend(self) -> None:
        """Let it do nothing any more."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def stop(self) -> int:
        """Ask it to end, and return its exit code."""
        assert self._process is not None
        process, self._process = self._process, None
        process.terminate()
        return process.wait(_START_S)

    def runs(self) -> int:
        """Return how many runs of its measure.py there are."""
        script = str(self.folder / "measure.py").encode()
        found = 0
        for process in Path("/proc").glob("[0-9]*"):
            try:
                found += script in (process / "cmdline").read_bytes().split(b"\0")
            except OSError:  # it has ended meanwhile
                continue
        return found

    def wait_for_runs(self, count: int) -> None:
        """Wait until there are so many."""
        end = time.monotonic() + _START_S
        while self.runs() != count:
            assert time.monotonic() < end, f"{self.runs()} runs, not {count}"
            time.sleep(_POLL_S)
