"""The hosts of a deployment, each in a network namespace of its own with shaped links between them."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from namespaces import PORT, HostChain, chain_of_hosts, command_in

from planner.scenario.yaml_text import load_yaml

_START_S, _STOP_S, _POLL_S = 60.0, 20.0, 0.02
_PLAN = [sys.executable, "-m", "planner"]


class ShapedHosts:
    """A source, others behind it in a chain, and what was deployed on them last."""

    def __init__(self, chain: HostChain) -> None:
        self._chain, self.hosts = chain, list(chain.addresses)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._folder = Path()

    def shape(self, *mbit_per_s: float) -> None:
        """Set the rate of each link, in their order, both ways."""
        for link, rate in zip(self._chain.links, mbit_per_s, strict=True):
            link.shape(rate)

    def deploy(self, plan: Path, folder: Path, *options: str) -> list[str]:
        """Write what each host needs, and return the hosts that have something to do."""
        self._folder = folder
        used = list(self.hosts)
        while True:
            given = [f"--host={name}={self._chain.addresses[name]}:{PORT}" for name in used]
            done = run([*_PLAN, "deploy", str(plan), "--out", str(folder), *given, "--keys", *options])
            if done.returncode == 0:
                break
            unused = [name for name in used if f"--host {name}: the plan uses" in done.stderr]
            if not unused:
                raise SystemExit(done.stderr)
            used.remove(unused[0])
        return [host["device"] for host in json.loads((folder / "deploy.json").read_text())["hosts"]]

    @contextmanager
    def serving(self, hosts: Sequence[str], *options: str) -> Iterator[None]:
        """Start hosts and wait until each serves; end them afterwards."""
        try:
            # One after the other: a paced host measures its stages when it starts.
            for host in hosts:
                self._start(host, options)
                self._wait(host)
            yield
        finally:
            for process in self._processes.values():
                process.terminate()
            for process in self._processes.values():
                process.wait(_STOP_S)
            self._processes.clear()

    def seen_links(self, scenario: Path, folder: Path) -> dict[str, Any]:
        """Return the `links` of a scenario as hosts that serve nothing see them."""
        used = self.deploy(scenario, folder)
        out = folder.with_suffix(".yaml")
        with self.serving(used):
            self.command("links", "--out", str(out))
        found: dict[str, Any] = load_yaml(out.read_text())
        return found

    def ask(self, command: str, *options: str) -> dict[str, Any]:
        """Run a command of the planner beside the source, and return its JSON."""
        done = self.command(command, *options, "--json")
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def command(self, command: str, *options: str) -> "subprocess.CompletedProcess[str]":
        """Run a command of the planner beside the source."""
        done = run(command_in(self.hosts[0], [*_PLAN, command, str(self._folder), *options]))
        if done.returncode:
            raise SystemExit(f"plan {command}: {done.stderr}")
        return done

    def _start(self, host: str, options: Sequence[str]) -> None:
        with self._log(host).open("wb") as log:
            self._processes[host] = subprocess.Popen(
                command_in(host, [sys.executable, str(self._folder / host / "serve.py"), *options]),
                stdout=log,
                stderr=log,
            )

    def _wait(self, host: str) -> None:
        end = time.monotonic() + _START_S
        while b" serves " not in (told := self._log(host).read_bytes()):
            if self._processes[host].poll() is not None or time.monotonic() > end:
                raise SystemExit(f"{host} does not serve: {told.decode()}")
            time.sleep(_POLL_S)

    def _log(self, host: str) -> Path:
        return self._folder.with_name(f"{self._folder.name}-{host}.log")


@contextmanager
def shaped_hosts(hosts: Sequence[str]) -> Iterator[ShapedHosts]:
    """Make the namespaces; all is taken away at the end."""
    with chain_of_hosts(hosts) as chain:
        yield ShapedHosts(chain)


def run(command: Sequence[str], timeout_s: float | None = None) -> "subprocess.CompletedProcess[str]":
    """Run a command and return what it wrote; one that takes longer is ended, with an exception."""
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=timeout_s)
