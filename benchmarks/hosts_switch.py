"""Plans that follow the bandwidth of a link, beside each of them alone: mean latency, and requests lost.

    python benchmarks/hosts_switch.py [quickstart|mobilenetv2] [--rate 2] [--step-s 5]

Needs root, for network namespaces; scenarios are changed as `host_scenarios.py` says. The link from the
camera to the gateway changes as a trace says; requests come at a fixed rate, by the plan that hosts choose
and then by each plan alone over the same trace. After the trace the link is as quick as at its beginning, so
that what waits behind the slowest rate ends. With one answer of each plan to each sample, from before the
trace, all answers are compared bit for bit.

It takes about five minutes: a minute to choose the plans, then the trace and at most `_DEADLINE_S` for each
of four runs. What is done is told as it goes.
"""

import argparse
import hashlib
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import Future
from pathlib import Path

import numpy as np
from awake_processors import awake_processors
from host_scenarios import CABLE_MBIT_PER_S, HOSTS, HostScenario
from namespaces import command_in
from rich.console import Console
from rich.table import Table
from shaped_hosts import ShapedHosts, run, shaped_hosts

from planner.errors import HostError
from planner.hosts.requests.pending_requests import Answer
from planner.hosts.requests.request_client import RequestClient

_PLANS = 3
_TRACE_MBIT_PER_S = (20, 2, 0.5, 5, 50, 1, 10, 0.3)
_DEADLINE_S = 30.0
_SAMPLES = 4
_COMPARE_S, _BEGIN_S = 300.0, 60.0  # after which something is wrong
_MILLI = 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("model", nargs="?", default="mobilenetv2")
    parser.add_argument("--rate", type=float, default=2.0)
    parser.add_argument("--step-s", type=float, default=5.0)
    parser.add_argument("--ask", nargs=3, metavar=("FOLDER", "SAMPLES", "PLAN"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    seconds = options.step_s * len(_TRACE_MBIT_PER_S)
    if options.ask:
        print(json.dumps(_ask(*options.ask, options.rate, seconds)))
        return
    table = Table(title=f"{options.model}: {', '.join(map(str, _TRACE_MBIT_PER_S))} Mbit/s")
    for heading in ("plan", "requests", "lost", "differ", "mean ms", "p90 ms", "by plan"):
        table.add_column(heading)
    with tempfile.TemporaryDirectory() as name, shaped_hosts(HOSTS) as hosts, awake_processors():
        folder, scenario = Path(name), HostScenario(options.model, Path(name))
        hosts.shape(1.0, CABLE_MBIT_PER_S)
        _tell(f"{options.model}: choosing {_PLANS} plans")
        done = run(
            [
                *("plan", "compare", str(scenario.write()), "--link", "camera-gateway"),
                *("--bandwidth", "0.1..100"),
                *("--plans", str(_PLANS), "--hysteresis", "0.1", "--out", str(folder / "held"), "--quiet"),
            ],
            _COMPARE_S,
        )
        if done.returncode:
            raise SystemExit(done.stderr)
        used = hosts.deploy(folder / "held", folder / "deploy")
        samples = scenario.samples(_SAMPLES)
        held = len(json.loads((folder / "deploy" / "deploy.json").read_text())["plans"])
        with hosts.serving(used, "--paced"):
            for plan in (-1, *range(held)):
                name = "followed" if plan < 0 else f"{plan} alone"
                command = [sys.executable, __file__, "--rate", str(options.rate), "--step-s"]
                command += [str(options.step_s), "--ask", str(folder / "deploy"), str(samples), str(plan)]
                cells = _cells(_over_trace(hosts, command, options.step_s, name))
                _tell(f"{name}: {', '.join(cells)}")
                table.add_row(name, *cells)
    Console().print(table)


def _over_trace(hosts: ShapedHosts, command: list[str], step_s: float, name: str) -> dict[str, list[float]]:
    """Run who asks beside the source while the link changes."""
    hosts.shape(_TRACE_MBIT_PER_S[0], CABLE_MBIT_PER_S)
    with subprocess.Popen(command_in(HOSTS[0], command), stdout=subprocess.PIPE, text=True) as process:
        timer = threading.Timer(_BEGIN_S + step_s * len(_TRACE_MBIT_PER_S) + _DEADLINE_S, process.kill)
        timer.start()
        try:
            assert process.stdout is not None
            process.stdout.readline()  # it begins
            for number, rate in enumerate(_TRACE_MBIT_PER_S, 1):
                hosts.shape(rate, CABLE_MBIT_PER_S)
                _tell(f"{name}: {rate:g} Mbit/s ({number} of {len(_TRACE_MBIT_PER_S)})")
                time.sleep(step_s)
            hosts.shape(_TRACE_MBIT_PER_S[0], CABLE_MBIT_PER_S)
            text = process.stdout.read()
        finally:
            timer.cancel()
            process.kill()
    if not text:
        raise SystemExit(f"{name}: who asks has ended without a result")
    found: dict[str, list[float]] = json.loads(text)
    return found


def _ask(folder: str, samples: str, plan: str, rate_per_s: float, seconds: float) -> dict[str, list[float]]:
    """Send requests at a rate by a plan, or by those that are followed if it is below 0."""
    with np.load(samples) as archive:
        arrays = dict(archive)
    feeds = [{name: values[at : at + 1] for name, values in arrays.items()} for at in range(_SAMPLES)]
    with RequestClient(Path(folder), _DEADLINE_S) as client:
        # One after the other: nothing can be mixed up.
        expected = {
            (number, at): _digest(client.submit(feeds[at], number).result())
            for number in range(len(client.manifests))
            for at in range(_SAMPLES)
        }
        if client.watch is not None:
            client.watch.refresh()
        print("begins", flush=True)
        began = time.monotonic()
        futures: list[Future[Answer]] = []
        for number in range(int(rate_per_s * seconds)):
            time.sleep(max(0.0, began + number / rate_per_s - time.monotonic()))
            futures.append(client.submit(feeds[number % _SAMPLES], None if int(plan) < 0 else int(plan)))
        answers, differ = [], 0
        for number, future in enumerate(futures):
            try:
                answers.append(answer := future.result())
            except HostError as exc:
                _tell(str(exc))
            else:
                differ += _digest(answer) != expected[answer.plan, number % _SAMPLES]
    return {
        "sent": [len(futures)],
        "differ": [differ],
        "seconds": [answer.seconds for answer in answers],
        "plans": [answer.plan for answer in answers],
    }


def _digest(answer: Answer) -> str:
    digest = hashlib.sha256()
    for name in sorted(answer.outputs):
        digest.update(answer.outputs[name].tobytes())
    return digest.hexdigest()


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _cells(asked: dict[str, list[float]]) -> list[str]:
    seconds, (sent,), (differ,) = asked["seconds"], asked["sent"], asked["differ"]
    counts = {plan: asked["plans"].count(plan) for plan in sorted(set(asked["plans"]))}
    return [
        f"{sent:g}",
        f"{sent - len(seconds):g}",
        f"{differ:g}",
        f"{_MILLI * statistics.mean(seconds):.1f}",
        f"{_MILLI * float(np.percentile(seconds, 90)):.1f}",
        ", ".join(f"{plan:g}: {count}" for plan, count in counts.items()),
    ]


if __name__ == "__main__":
    main()
