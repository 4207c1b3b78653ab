"""Requests through three hosts while hosts are killed and a link is cut: right, failed, lost, and memory.

    python benchmarks/hosts_soak.py [REQUESTS [KILLS [CUTS]]]

Hosts are processes on loopback, with a relay between the second and the third. Kills and cuts
come at random moments, one at a time, spread over the requests. Every answer is compared with the same
stages run in this process, bit for bit. Memory is each host's after its last start, and the client's.
"""

import random
import resource
import sys
import tempfile
import threading
import time
from collections import Counter, deque
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from pathlib import Path

from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "support"))

from hosted_plans import DEVICES, hosted_answers, hosted_plan, hosted_samples
from running_hosts import RunningHosts
from tcp_relay import TcpRelay

from planner.errors import HostError
from planner.hosts.requests.pending_requests import Answer
from planner.hosts.requests.request_client import RequestClient
from planner.verification.stage_chain import same_bits

_DEADLINE_S = 30.0
_HUNG_S = _DEADLINE_S + 5.0
_AT_ONCE = 16
_CUT_S = (0.05, 1.5)  # how long a link stays cut
_PER_FAULT_S = 4.0  # at most between two faults


def main() -> None:
    requests, kills, cuts = (
        int(text) for text in (*sys.argv[1:], *("10000", "50", "20")[len(sys.argv) - 1 :])
    )
    random.seed(1)
    with tempfile.TemporaryDirectory() as folder:
        plan = hosted_plan(Path(folder) / "plan")
        with (
            RunningHosts(plan, Path(folder) / "deploy", DEVICES) as running,
            TcpRelay(running.ports["server"]) as relay,
        ):
            running.route("gateway", "server", relay.port)
            running.start()
            _Soak(plan, running, relay).run(requests, kills, cuts)


class _Soak:
    """One run."""

    def __init__(self, plan: Path, running: RunningHosts, relay: TcpRelay) -> None:
        self._running, self._relay = running, relay
        self._samples = hosted_samples(20)
        self._expected = hosted_answers(plan, self._samples)
        self._ended: Counter[str] = Counter()
        self._reasons: Counter[str] = Counter()
        self._longest_s, self._attempts = 0.0, 0
        self._faults: Counter[str] = Counter()
        self._over = threading.Event()

    def run(self, requests: int, kills: int, cuts: int) -> None:
        faults = ["kill"] * kills + ["cut"] * cuts
        random.shuffle(faults)
        began = time.monotonic()
        with RequestClient(self._running.folder, _DEADLINE_S) as client:
            before = self._memory(client)
            breaker = threading.Thread(target=self._break, args=(faults,))
            breaker.start()
            sent = self._send(client, requests, breaker)
            self._over.set()
            breaker.join()
            after = self._memory(client)
            open_after = {name: client.status(name).open for name in DEVICES}
        self._print(sent, time.monotonic() - began, before, after, open_after)

    def _send(self, client: RequestClient, requests: int, breaker: threading.Thread) -> int:
        """Send that many requests, and more until all faults have been."""
        pending: deque[tuple[int, Future[Answer]]] = deque()
        number = 0
        while number < requests or breaker.is_alive():
            pending.append((number, client.submit(self._samples[number % len(self._samples)])))
            number += 1
            while len(pending) >= _AT_ONCE:
                self._check(*pending.popleft())
        while pending:
            self._check(*pending.popleft())
        return number

    def _check(self, number: int, future: "Future[Answer]") -> None:
        try:
            answer = future.result(_HUNG_S)
        except HostError as exc:
            self._ended["failed"] += 1
            self._reasons[str(exc)] += 1
            return
        except FutureTimeoutError:
            self._ended["hung"] += 1
            return
        right = same_bits(self._expected[number % len(self._expected)], answer.outputs)
        self._ended["right" if right else "wrong"] += 1
        self._attempts += answer.attempts - 1
        self._longest_s = max(self._longest_s, answer.seconds)

    def _break(self, faults: list[str]) -> None:
        for fault in faults:
            if self._over.wait(random.uniform(0.5, _PER_FAULT_S)):
                return
            if fault == "kill":
                device = random.choice(DEVICES)
                self._running.kill(device)
                time.sleep(random.uniform(0, 0.5))
                self._running.start(device)
            else:
                self._relay.cut()
                time.sleep(random.uniform(*_CUT_S))
                self._relay.mend()
            self._faults[fault] += 1

    def _memory(self, client: RequestClient) -> dict[str, float]:
        end = time.monotonic() + _DEADLINE_S
        while True:
            try:
                found = {name: client.status(name).memory_mib or 0.0 for name in DEVICES}
            except HostError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.2)
                continue
            return found | {"client": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}

    def _print(
        self,
        sent: int,
        seconds: float,
        before: dict[str, float],
        after: dict[str, float],
        open_after: dict[str, int],
    ) -> None:
        table = Table(title=f"{sent} requests, {self._faults['kill']} kills, {self._faults['cut']} link cuts")
        for heading in ("what", "number"):
            table.add_column(heading)
        rows: list[tuple[str, object]] = [
            *((what, self._ended[what]) for what in ("right", "wrong", "failed", "hung")),
            ("sent again", self._attempts),
            ("longest", f"{self._longest_s:.2f} s"),
            ("all", f"{seconds:.0f} s"),
            *((f"still open on {name}", count) for name, count in open_after.items()),
            *((f"memory of {name}", f"{before[name]:.0f} to {mib:.0f} MiB") for name, mib in after.items()),
            *((f"failed: {reason}", count) for reason, count in self._reasons.items()),
        ]
        for what, number in rows:
            table.add_row(what, str(number))
        Console().print(table)


if __name__ == "__main__":
    main()
