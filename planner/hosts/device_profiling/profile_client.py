"""Asks a device that serves its bundle to measure it, and brings the profile back."""

import hashlib
import json
import logging
import tempfile
import threading
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from planner.errors import HostError
from planner.hosts.connection_faults import NEEDS_KEYS, connection_fault
from planner.hosts.endpoints import Endpoint
from planner.hosts.on_device.profile_messages import (
    BUNDLE,
    POLL,
    PROFILES,
    START,
    STOP,
    RunRequest,
    RunStatus,
)
from planner.hosts.on_host.host_manifest import NETWORK
from planner.hosts.on_host.messages import CLIENT_PREFIX
from planner.hosts.on_host.network import Network, Outcome
from planner.hosts.zenoh_config import CLIENT, CLIENT_PATTERN, access_control, host_config
from profiling.on_device.measurement_order import MeasurementPlan, order_hash
from profiling.progress import Progress, silent

_MOST_PROFILE_BYTES = 2**26
_CONNECT_S, _POLL_S, _STOP_S = 5.0, 0.5, 3.0
_ANSWER_S = 60.0  # a slow link may need so long for a profile; one that is cut is noticed sooner
_GONE_S = 10.0  # shorter than a device goes on with a run that nobody asks for
_START = "start profile_server.py there"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ProfileHost:
    """A device that serves its bundle.

    Parameters
    ----------
    keys
        Folder of the keys for it, None for a connection without encryption.
    """

    device: str
    endpoint: Endpoint
    keys: Path | None = None

    def __str__(self) -> str:
        return f"{self.device} ({self.endpoint.address})"


class ProfileClient:
    """A connection to a device that serves its bundle.

    Raises
    ------
    HostError
        If it cannot be reached.
    """

    def __init__(self, host: ProfileHost) -> None:
        self._host = host
        fault = connection_fault(host.endpoint, host.keys)
        if fault is not None:
            raise self._error(f"{fault}: name their folder with --client" if fault == NEEDS_KEYS else fault)
        self._network = _network(host)
        is_there = threading.Event()
        try:
            self._network.watch(host.device, lambda _, there: is_there.set() if there else None)
            if not is_there.wait(_CONNECT_S):
                raise self._error(f"what answers serves no bundle of {host.device}: {_START}")
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Leave."""
        self._network.close()

    def measure(self, order: MeasurementPlan, deadline_s: float, progress: Progress = silent) -> bytes:
        """Let the device measure its bundle, and return the profile as its `measure.py` wrote it.

        However this ends, no run stays on the device.

        Parameters
        ----------
        order
            What is to be measured, and with which rounds and threads.

        Raises
        ------
        HostError
            If the device serves another bundle, measures for somebody else, or goes; or if the run fails or
            is not done in time.
        """
        ends_s = time.monotonic() + deadline_s
        if self._ask(BUNDLE).decode(errors="replace") != order_hash(msgspec.to_builtins(order)):
            raise self._error(
                "serves the bundle of another model, or of other settings than the scenario has now: "
                f"write it again (plan profile SCENARIO --device {order.device} --bundle DIR), copy it there "
                f"and {_START}"
            )
        run = RunRequest(uuid.uuid4().hex, order.rounds, order.threads)
        try:
            self._ask(START, run.to_bytes())
            status = self._end_of(run, ends_s, progress)
        finally:
            self._network.send(self._host.device, STOP, b"", run.run.encode(), _STOP_S)
        if status is None:
            raise self._error(
                f"has not measured within {deadline_s:g} s and was stopped: give it more with --deadline-s, "
                "or let it take fewer rounds with --set profiling.rounds=8"
            )
        if status.reason:
            raise self._error(f"{status.reason}; it measured nothing")
        data = status.profile.encode()
        if hashlib.sha256(data).hexdigest() != status.sha256:
            raise self._error("the profile was damaged on its way: ask again")
        return data

    def _end_of(self, run: RunRequest, ends_s: float, progress: Progress) -> RunStatus | None:
        """Tell the progress of a run, and return its status when it has ended; None if it is too late."""
        told: dict[str, tuple[int, int]] = {}
        while time.monotonic() < ends_s:
            status = self._status(self._ask(POLL, run.run.encode()))
            progress(f"measuring on {self._host.device}", int(not status.is_running), 1)
            for what, (done, total) in status.progress.items():
                if told.get(what) != (done, total):
                    _log.info("%s: %d of %d", what, done, total)
                told[what] = (done, total)
                progress(what, done, total)
            if not status.is_running:
                return status
            time.sleep(_POLL_S)
        return None

    def _status(self, data: bytes) -> RunStatus:
        try:
            return msgspec.json.decode(data, type=RunStatus)
        except msgspec.MsgspecError as exc:
            raise self._error(f"tells a status that is not valid ({exc})") from exc

    def _ask(self, kind: str, payload: bytes = b"") -> bytes:
        """Return what the device answers; it is asked again where it cannot be reached for a moment."""
        gone_s: float | None = None
        while True:
            reply = self._network.send(self._host.device, kind, b"", payload, _ANSWER_S)
            if reply.outcome is Outcome.ACCEPTED:
                return reply.data
            if reply.outcome is Outcome.BUSY:
                raise self._error(f"{reply.reason}: ask again later")
            if reply.outcome is Outcome.REFUSED:
                raise self._error(reply.reason)
            gone_s = gone_s or time.monotonic()
            if time.monotonic() - gone_s > _GONE_S:
                raise self._error(
                    f"has gone meanwhile: see that it runs and is connected, {_START}, ask again"
                )
            time.sleep(_POLL_S)

    def _error(self, text: str) -> HostError:
        return HostError(f"{self._host}: {text}")


def _network(host: ProfileHost) -> Network:
    rules, keys = None, ""
    if host.keys is not None:
        rules = access_control(CLIENT_PATTERN, PROFILES, {host.device: host.device})
        keys = str(host.keys.resolve())
    config = host_config(CLIENT, None, [host.endpoint], _MOST_PROFILE_BYTES, rules, keys)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / NETWORK
        path.write_text(json.dumps(config), encoding="utf-8")
        try:
            return Network(path, PROFILES, CLIENT_PREFIX + uuid.uuid4().hex[:12])
        except OSError as exc:
            raise HostError(f"{host}: {exc}") from exc
