"""A Ray cluster of local nodes, one per device, that serves an application as its README says."""

import contextlib
import io
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from running_hosts import free_ports

from planner.hosts.deploy_ray import CONFIG, ray_resources
from planner.hosts.on_ray.application_manifest import read_application
from profiling.arrays import Array, Feeds

_HERE = "127.0.0.1"
_START_S, _END_S, _ASK_S, _POLL_S = 120.0, 30.0, 60.0, 0.2
_STORE_BYTES = 100 * 2**20
_READY = 400  # an empty request is refused by the application itself
_BIN = Path(sys.executable).parent


class RayCluster:
    """Nodes, and `serve run`; leaving it ends them all."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._port, self.http_port = free_ports(2)
        self._ends = contextlib.ExitStack()
        text = (folder / CONFIG).read_text(encoding="utf-8")
        (folder / CONFIG).write_text(text.replace("port: 8000", f"port: {self.http_port}"), encoding="utf-8")

    def __enter__(self) -> "RayCluster":
        where = [f"--head --port={self._port} --include-dashboard=false", f"--address={_HERE}:{self._port}"]
        with self._ends:
            for number, resources in enumerate(ray_resources(read_application(self.folder)).values()):
                options = where[min(number, 1)].split()
                size = f"--object-store-memory={_STORE_BYTES}"
                call = ["ray", "start", "--block", *options, "--num-cpus=4", size, "--resources", resources]
                self._run(f"node{number}", call, b"To terminate the Ray runtime")
            self._run("serve", ["serve", "run", "--working-dir", ".", CONFIG], b"Submitted deploy config")
            end = time.monotonic() + _START_S
            while self.post(b"")[0] != _READY:
                assert time.monotonic() < end, self.log("serve").read_text()
                time.sleep(_POLL_S)
            self._ends = self._ends.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.close()

    def ask(self, feeds: Feeds) -> dict[str, Array]:
        """Return the answer to one sample."""
        stream = io.BytesIO()
        np.savez(stream, **feeds)
        status, body = self.post(stream.getvalue())
        assert status == 200, body
        with np.load(io.BytesIO(body)) as found:
            return dict(found)

    def post(self, body: bytes) -> tuple[int, bytes]:
        """Return status and body of an answer over HTTP; 0 where nobody listens."""
        request = urllib.request.Request(f"http://{_HERE}:{self.http_port}/", data=body)
        try:
            with urllib.request.urlopen(request, timeout=_ASK_S) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as exc:
            with exc:
                return exc.code, exc.read()
        except urllib.error.URLError:
            return 0, b""

    def log(self, name: str) -> Path:
        """Return what a process has written."""
        return self.folder.parent / f"{self.folder.name}-{name}.log"

    def _run(self, name: str, call: list[str], started: bytes) -> None:
        self._ends.enter_context(self._process(name, [str(_BIN / call[0]), *call[1:]]))
        end = time.monotonic() + _START_S
        while started not in (seen := self.log(name).read_bytes()):
            assert time.monotonic() < end, seen.decode()
            time.sleep(_POLL_S)

    @contextlib.contextmanager
    def _process(self, name: str, call: list[str]) -> Iterator[None]:
        own = {"RAY_ADDRESS": f"{_HERE}:{self._port}"} if name == "serve" else {}
        env = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "RAY_ADDRESS")} | own
        env["RAY_USAGE_STATS_ENABLED"] = "0"
        with self.log(name).open("wb") as log:
            process = subprocess.Popen(call, cwd=self.folder, stdout=log, stderr=log, env=env)
        try:
            yield
        finally:
            process.send_signal(signal.SIGINT if name == "serve" else signal.SIGTERM)
            try:
                process.wait(_END_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
