"""Answers who asks for the profile of a bundle: one run at a time, ended if nobody asks for it any more."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from planner.hosts.on_device.measure_run import MeasureRun
from planner.hosts.on_device.profile_messages import BUNDLE, POLL, START, STOP, run_request
from planner.hosts.on_host.host_manifest import HostedFile, HostManifestError, check_file
from planner.hosts.on_host.messages import BadMessageError, Busy
from planner.hosts.on_host.network import Incoming
from profiling.on_device.measurement_order import order_hash

ORDER = "order.json"
ABANDONED_S = 15.0  # without a question about its run: whoever asked for it is gone


def read_order(folder: Path) -> dict[str, Any]:
    """Return what a bundle is to measure.

    Raises
    ------
    HostManifestError
        If it cannot be read.
    """
    try:
        order = json.loads((folder / ORDER).read_text(encoding="utf-8"))
        if isinstance(order, dict) and isinstance(order["device"], str) and isinstance(order["files"], dict):
            return order
    except (OSError, ValueError, KeyError, RecursionError) as exc:
        raise HostManifestError(f"{folder / ORDER}: cannot be read; copy the bundle again ({exc!r})") from exc
    raise HostManifestError(f"{folder / ORDER}: is damaged; copy the bundle again")


def check_bundle(folder: Path, order: dict[str, Any]) -> None:
    """Refuse a bundle with a file that is not as it was written.

    Raises
    ------
    HostManifestError
        Naming the file.
    """
    for file, sha256 in order["files"].items():
        check_file(folder, HostedFile(file, sha256))


class ProfileRequests:
    """What a bundle is asked for, and its run.

    Parameters
    ----------
    folder
        The bundle.
    """

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder, self._clock = folder, clock
        self._hash = order_hash(read_order(folder))
        self._lock = threading.Lock()
        self._run: MeasureRun | None = None
        self._asked_s = 0.0

    def take(self, message: Incoming) -> None:
        """Answer a message."""
        try:
            message.accept(self._answer(message.kind, message.payload))
        except (BadMessageError, HostManifestError) as exc:
            message.refuse(str(exc))
        except Busy as exc:
            message.postpone(str(exc))

    def end_abandoned(self) -> None:
        """End a run that nobody has asked for lately."""
        with self._lock:
            if self._run is not None and self._clock() - self._asked_s > ABANDONED_S:
                self._end()

    def close(self) -> None:
        """End the run, if there is one."""
        with self._lock:
            self._end()

    def _answer(self, kind: str, payload: bytes) -> bytes:
        if kind == BUNDLE:
            return self._hash.encode()
        answers = {START: self._start, POLL: self._poll, STOP: self._stop}
        if kind not in answers:
            raise BadMessageError(f"a bundle takes no {kind!r}")
        with self._lock:
            return answers[kind](payload)

    def _start(self, payload: bytes) -> bytes:
        request = run_request(payload)
        if order_hash(read_order(self._folder)) != self._hash:
            raise HostManifestError(
                "its bundle was replaced while it is served: start profile_server.py again"
            )
        if self._run is None:
            self._run = MeasureRun(self._folder, request)
        elif self._run.request != request:  # the same one again if its sender did not hear of the answer
            done = [f"{what}: {n} of {total}" for what, (n, total) in self._run.status().progress.items()]
            raise Busy(f"it measures for somebody else ({', '.join(done[-1:]) or 'just started'})")
        self._asked_s = self._clock()
        return b""

    def _poll(self, payload: bytes) -> bytes:
        if self._run is None or self._run.request.run.encode() != payload:
            raise BadMessageError(
                f"it knows nothing of the run: profile_server.py was started again, or heard nothing of "
                f"who asked for {ABANDONED_S:g} s"
            )
        self._asked_s = self._clock()
        return self._run.status().to_bytes()

    def _stop(self, payload: bytes) -> bytes:
        if self._run is not None and self._run.request.run.encode() == payload:
            self._end()
        return b""

    def _end(self) -> None:
        run, self._run = self._run, None
        if run is not None:
            run.stop()
