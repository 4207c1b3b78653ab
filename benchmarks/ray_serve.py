"""A plan on a Ray cluster of local nodes, one per device, beside the same stages in one process.

    python benchmarks/ray_serve.py [PLAN_FOLDER] [--requests 200] [--at-once 8]

Without a folder: three small stages on two devices. Every answer, over HTTP, is compared with that of the
process, bit for bit. All nodes are on this machine: what Ray adds is seen, what a network would is not.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "support"))

from hosted_plans import hosted_plan
from ray_cluster import RayCluster

from planner.hosts.deploy_ray import deploy_ray
from planner.hosts.on_host.messages import TensorSpec
from planner.output.saved_plan import read_manifest
from planner.verification.stage_chain import Chain, same_bits
from profiling.arrays import Array, Feeds
from profiling.runtime.open_session import Runtime

_SAMPLES, _WARM_UP = 20, 20
_MILLI = 1e3
Answer = dict[str, Array]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("plan", type=Path, nargs="?")
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--at-once", type=int, default=8)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        plan = options.plan or hosted_plan(Path(name) / "plan")
        application = deploy_ray(plan, Path(name) / "app")
        samples = samples_of(application.inputs)
        manifest = read_manifest(plan)
        chain = Chain([plan / stage.file for stage in manifest.stages], Runtime())
        outputs = [port.name for port in manifest.outputs]

        def in_process(feeds: Feeds) -> Answer:
            return chain.run(feeds, outputs)

        expected = [in_process(feeds) for feeds in samples]
        table = Table("stages", "at once", "p50, ms", "p99, ms", "requests/s", "wrong", title=f"{plan.name}")
        table.add_row("in one process", *row(in_process, samples, expected, options.requests, 1))
        with RayCluster(Path(name) / "app") as cluster:
            row(cluster.ask, samples, expected, _WARM_UP, 1)
            for at_once in (1, options.at_once):
                figures = row(cluster.ask, samples, expected, options.requests, at_once)
                table.add_row("Ray Serve, HTTP", *figures)
    Console().print(table)


def samples_of(inputs: Sequence[TensorSpec]) -> list[Feeds]:
    rng = np.random.default_rng(1)
    return [
        {spec.name: (rng.random(spec.shape) * 100).astype(spec.dtype) for spec in inputs}
        for _ in range(_SAMPLES)
    ]


def row(
    ask: Callable[[Feeds], Answer],
    samples: Sequence[Feeds],
    expected: Sequence[Answer],
    requests: int,
    at_once: int,
) -> list[str]:
    """Return a row of the table: so many requests, some of them at once."""

    def one(number: int) -> tuple[float, bool]:
        began = time.perf_counter()
        answer = ask(samples[number % _SAMPLES])
        return time.perf_counter() - began, same_bits(answer, expected[number % _SAMPLES])

    began = time.perf_counter()
    with ThreadPoolExecutor(at_once) as pool:
        ended = list(pool.map(one, range(requests)))
    whole = time.perf_counter() - began
    seconds = [second for second, _ in ended]
    p99 = statistics.quantiles(seconds, n=100)[-1]
    figures = (statistics.median(seconds) * _MILLI, p99 * _MILLI, requests / whole)
    return [str(at_once), *(f"{figure:.2f}" for figure in figures), str(sum(not same for _, same in ended))]


if __name__ == "__main__":
    main()
