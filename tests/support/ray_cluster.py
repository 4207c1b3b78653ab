"""A Ray cluster of local nodes, one per device, that serves an application as its README says."""

import contextlib
import io
import os
import secrets
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
_START_S, _END_S, _ASK_S, _POLL_S = 240.0, 30.0, 60.0, 0.2
_STORE_BYTES = 100 * 2**20
_READY = 400  # an empty request is refused by the application itself
_ENDS = ("Deploying new version of", "DEPLOY_FAILED", "HostManifestError")
# Interrupted, `serve run` shuts Serve down; of another application it must not.
_SIGNALS = {"serve": signal.SIGINT, "other": signal.SIGKILL}
_BIN = Path(sys.executable).parent


class RayCluster:
    """Nodes, and `serve run`; leaving it ends them all."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._port, self.http_port = free_ports(2)
        self._ends = contextlib.ExitStack()
        self._pids: set[int] = set()
        self._token = secrets.token_hex(32)  # others on the machine have no business here
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
        """Return status and body of an answer over HTTP; 0 where nobody answers."""
        request = urllib.request.Request(f"http://{_HERE}:{self.http_port}/", data=body)
        try:
            with urllib.request.urlopen(request, timeout=_ASK_S) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as exc:
            with exc:
                return exc.code, exc.read()
        except OSError:
            return 0, b""

    def serve(self, folder: Path) -> str:
        """Run another application on the cluster, and return what is said until it runs or fails."""
        with self._process("other", [str(_BIN / "serve"), "run", "--working-dir", ".", CONFIG], folder):
            end = time.monotonic() + _START_S
            while not any(word in (seen := self.log("other").read_text()) for word in _ENDS):
                assert time.monotonic() < end, seen
                time.sleep(_POLL_S)
        return seen

    def replicas(self, deployment: str) -> list[int]:
        """Return the processes of a deployment's replicas: of this cluster alone."""
        name, found = f"ray::ServeReplica:splitquant:{deployment}", []
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if (folder / "cmdline").read_text().startswith(name) and self._is_ours(int(folder.name)):
                    found.append(int(folder.name))
        return found

    def _is_ours(self, pid: int) -> bool:
        while pid > 1:
            if pid in self._pids:
                return True
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        return False

    def log(self, name: str) -> Path:
        """Return what a process has written."""
        return self.folder.parent / f"{self.folder.name}-{name}.log"

    def _run(self, name: str, call: list[str], started: bytes) -> None:
        process = self._ends.enter_context(self._process(name, [str(_BIN / call[0]), *call[1:]]))
        end = time.monotonic() + _START_S
        while started not in (seen := self.log(name).read_bytes()):
            assert process.poll() is None, seen.decode()
            assert time.monotonic() < end, seen.decode()
            time.sleep(_POLL_S)

    @contextlib.contextmanager
    def _process(
        self, name: str, call: list[str], folder: Path | None = None
    ) -> Iterator["subprocess.Popen[bytes]"]:
        own = {"RAY_ADDRESS": f"{_HERE}:{self._port}"} if call[0].endswith("serve") else {}
        env = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "RAY_ADDRESS")} | own
        env |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": self._token}
        with self.log(name).open("wb") as log:
            process = subprocess.Popen(call, cwd=folder or self.folder, stdout=log, stderr=log, env=env)
        self._pids.add(process.pid)
        try:
            yield process
        finally:
            process.send_signal(_SIGNALS.get(name, signal.SIGTERM))
            try:
                process.wait(_END_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
