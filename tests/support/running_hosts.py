"""Hosts of a deployment as processes on this machine, at free ports."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from planner.hosts.deploy import deploy
from planner.hosts.endpoints import Endpoint
from planner.hosts.on_host.host_manifest import NETWORK

_START_S, _POLL_S = 60.0, 0.02
_HERE = "127.0.0.1"


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens at."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind((_HERE, 0))
        return [one.getsockname()[1] for one in sockets]


class RunningHosts:
    """A deployment and its processes; leaving it ends them all."""

    def __init__(self, plan: Path, folder: Path, devices: tuple[str, ...], *, keys: bool = False) -> None:
        self.folder, self.devices = folder, devices
        self.ports = dict(zip(devices, free_ports(len(devices)), strict=True))
        given = {name: Endpoint(_HERE, port) for name, port in self.ports.items()}
        self.deployment = deploy(plan, folder, given, keys=keys)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> "RunningHosts":
        return self

    def __exit__(self, *_: object) -> None:
        for device in list(self._processes):
            self.kill(device)

    def start(self, *devices: str, options: tuple[str, ...] = (), env: dict[str, str] | None = None) -> None:
        """Start hosts, all where none is named, and wait until each serves."""
        for device in devices or self.devices:
            with self.log(device).open("wb") as log:
                self._processes[device] = subprocess.Popen(
                    [sys.executable, str(self.folder / device / "serve.py"), *options],
                    cwd="/",
                    stdout=log,
                    stderr=log,
                    env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | (env or {}),
                )
        for device in devices or self.devices:
            self._wait(device)

    def log(self, device: str) -> Path:
        """Return what a host has written."""
        return self.folder.parent / f"{self.folder.name}-{device}.log"

    def kill(self, device: str) -> None:
        """End a host without a chance to say so."""
        process = self._processes.pop(device)
        process.kill()
        process.wait()

    def stop(self, device: str) -> int:
        """Ask a host to end, and return its exit code."""
        process = self._processes.pop(device)
        process.terminate()
        return process.wait(_START_S)

    def interrupt(self, device: str, send: Callable[[int], object]) -> int:
        """Let something be sent to a host's process that ends it, and return its exit code."""
        process = self._processes.pop(device)
        send(process.pid)
        try:
            return process.wait(_START_S)
        finally:
            process.kill()

    def suspend(self, device: str) -> None:
        """Let a host do nothing until it is resumed."""
        self._processes[device].send_signal(signal.SIGSTOP)

    def resume(self, device: str) -> None:
        """Let a host go on."""
        self._processes[device].send_signal(signal.SIGCONT)

    def route(self, device: str, other: str, port: int) -> None:
        """Let a host that is not started yet reach another one, which it calls, at a port here."""
        path = self.folder / device / NETWORK
        text = path.read_text(encoding="utf-8")
        listen, connect = text.split('"connect"')
        own = f"{_HERE}:{self.ports[other]}"
        assert own in connect
        path.write_text(f'{listen}"connect"{connect.replace(own, f"{_HERE}:{port}")}', encoding="utf-8")
        json.loads(path.read_text(encoding="utf-8"))

    def _wait(self, device: str) -> None:
        end = time.monotonic() + _START_S
        while b" serves " not in (seen := self.log(device).read_bytes()):
            assert self._processes[device].poll() is None, seen.decode()
            assert time.monotonic() < end, seen.decode()
            time.sleep(_POLL_S)
