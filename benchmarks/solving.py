"""How good and fast the planner's core is: proofs, growth, the textbook program, what people do today.

python benchmarks/solving.py [placement] [models] [large] [growth] [textbook] [today]

Without words all parts run. Published workloads and pretrained models are read from $SPLITQUANT_DATA; models
are profiled first, or their profiles read from the cache.
"""

import json
import os
import sys
import time
from collections.abc import Iterator
from math import log
from pathlib import Path

import numpy as np
from instances import random_problem
from own_process import alone
from placement import placement_problem
from problems import MODELS, NOISE, measured_problem, noise_in_int8, with_bandwidth, with_little_memory
from rich.console import Console
from rich.table import Table
from textbook import solve_textbook

from planner.comparison.baselines import baselines
from planner.problem.placement_problem import PlacementProblem
from planner.problem.uniform_choices import Baseline
from planner.problem_io.loader import problem_of
from planner.problem_io.schema import check_problem
from planner.solver.result import SolveResult
from planner.solver.solve import solve
from planner.solver.solver_options import SolverOptions

_KNOWN = {"bert24_layers": 17.7899, "bert_l-3_operators": 27.9186, "resnet50_layers": 33.7747}
_NOISE_SHARE = 0.3  # of the noise of everything in int8: a limit that keeps some units in float
_MEMORY_SHARE = 0.3  # of the fp32 weights, on camera and gateway
_MOST_FOR_BASELINES = 300  # units; single cuts try every prefix
_CONSOLE = Console(highlight=False, width=140)


def solved(units: int, devices: int, seed: int, gap: float) -> SolveResult:
    """Solve a random problem."""
    return solve(random_problem(units, devices, seed), SolverOptions("highs", 60.0, gap))


def placed(path: Path, visits_of_cpu: int | None) -> SolveResult:
    """Solve a published workload."""
    spec, faults = check_problem(
        json.dumps(placement_problem(json.loads(path.read_text()), visits_of_cpu=visits_of_cpu)).encode()
    )
    if spec is None:
        raise ValueError(faults)
    return solve(problem_of(spec), SolverOptions("highs", 60.0, 1e-4))


def placement() -> None:
    """Print the published workloads: everything contiguous, and processors free to run at any time."""
    folder = Path(os.environ.get("SPLITQUANT_DATA", "")) / "placement"
    table = _table(
        "published placement workloads (period; 1e-4 wanted)",
        "workload",
        "processor",
        "known",
        "found",
        "bound",
        "gap %",
        "s",
        "MiB",
    )
    for name, known in _KNOWN.items():
        path = folder / f"{name}.json"
        if not path.is_file():
            _CONSOLE.print(f"{path}: not there, skipped")
            continue
        for visits, word in ((1, "contiguous"), (None, "any time")):
            result, peak = alone(placed, path, visits)
            table.add_row(
                name, word, f"{known:.4f}", f"{result.objective:.4f}", f"{result.bound:.4f}",
                f"{100 * (result.gap or 0):.3f}", f"{result.runtime_s:.1f}", f"{peak:.0f}",
            )  # fmt: skip
    _CONSOLE.print(table)


def models() -> None:
    """Print real models on three devices in three precisions, under noise limits from loose to tight."""
    table = _table(
        "real models, 3 devices x 3 precisions (proved within 10 s wanted)",
        "model",
        "units",
        "noise / int8's",
        "latency ms",
        "fp32, int8, int16 units",
        "gap %",
        "s",
        "variables",
        "MiB",
    )
    for name, problem in _measured_problems():
        most = noise_in_int8(problem)
        for share in (1.0, 0.3, 0.03):
            limited = problem.with_limit(NOISE, share * most)
            result, peak = alone(solve, limited, SolverOptions("highs", 60.0, 1e-6))
            units = sum(not vertex.is_terminal for vertex in problem.vertices)
            table.add_row(
                name, str(units), f"{share:g}", f"{1e3 * (result.objective or 0):.3f}",
                _precisions_of(limited, result), f"{100 * (result.gap or 0):.5f}",
                f"{result.runtime_s:.1f}", str(result.variables), f"{peak:.0f}",
            )  # fmt: skip
    _CONSOLE.print(table)


def _measured_problems() -> Iterator[tuple[str, PlacementProblem]]:
    for name in MODELS:
        if name != "quickstart" and not os.environ.get("SPLITQUANT_DATA"):
            _CONSOLE.print(f"{name}: SPLITQUANT_DATA is not set, skipped")
            continue
        yield name, measured_problem(name)


def _precisions_of(problem: PlacementProblem, result: SolveResult) -> str:
    chosen = zip(problem.vertices, result.choice.options if result.choice else (), strict=False)
    used = [vertex.options[o].precision for vertex, o in chosen if not vertex.is_terminal]
    return ", ".join(str(used.count(precision)) for precision in ("fp32", "int8", "int16"))


def large() -> None:
    """Print random networks of 2,000 units on 6 devices at a gap of 0.1 %."""
    table = _table(
        "2,000 units x 6 devices x 2 precisions (gap <= 0.1 %, <= 60 s, <= 4096 MiB wanted)",
        "seed",
        "objective s",
        "gap %",
        "s",
        "variables",
        "constraints",
        "MiB",
    )
    for seed in (1, 2, 3):
        result, peak = alone(solved, 2000, 6, seed, 1e-3)
        table.add_row(
            str(seed), f"{result.objective:.6f}", f"{100 * (result.gap or 0):.4f}", f"{result.runtime_s:.1f}",
            str(result.variables), str(result.constraints), f"{peak:.0f}",
        )  # fmt: skip
    _CONSOLE.print(table)


def growth() -> None:
    """Print seconds over units, and the exponent that fits them."""
    sizes, seconds = (100, 200, 500, 1000, 2000), []
    table = _table(
        "growth, 6 devices x 2 precisions, gap 0.1 %, median of 3 networks",
        "units",
        "s",
        "gap %",
        "variables",
    )
    for units in sizes:
        results = [solved(units, 6, seed, 1e-3) for seed in (1, 2, 3)]
        median = sorted(results, key=lambda one: one.runtime_s)[1]
        seconds.append(median.runtime_s)
        worst = max(one.gap or 0.0 for one in results)
        table.add_row(str(units), f"{median.runtime_s:.2f}", f"{100 * worst:.4f}", str(median.variables))
    slope = np.polyfit([log(n) for n in sizes], [log(s) for s in seconds], 1)[0]
    _CONSOLE.print(table)
    _CONSOLE.print(f"fitted exponent {slope:.2f} (aim <= 1.3)\n")


def textbook() -> None:
    """Print the planner beside the textbook program, cold, on the same problems."""
    table = _table(
        "against the textbook program, 3 devices (>= 10x at 500 units, same optimum, wanted)",
        "units",
        "planner s",
        "objective",
        "gap %",
        "textbook s",
        "objective",
        "gap %",
        "ratio",
    )
    for units, limit in ((20, 60.0), (50, 120.0), (500, 300.0)):
        problem = random_problem(units, 3, 1)
        own = solve(problem, SolverOptions("highs", 60.0, 1e-4))
        other = solve_textbook(problem, limit, 1e-4)
        gap = 1 - other.bound_s / other.objective_s
        table.add_row(
            str(units), f"{own.runtime_s:.2f}", f"{own.objective:.6f}", f"{100 * (own.gap or 0):.3f}",
            f"{other.runtime_s:.1f}", f"{other.objective_s:.6f}", f"{100 * gap:.2f}",
            f"{other.runtime_s / own.runtime_s:.0f}",
        )  # fmt: skip
    _CONSOLE.print(table)


def today() -> None:
    """Print the joint plan beside what people do, per bandwidth."""
    names = [one.name for one in _ways(random_problem(3, 3, 1))]
    table = _table(
        "latency over the joint plan's, 3 devices (never < 1 wanted)",
        "network",
        "bandwidth",
        "joint ms",
        *names,
        "joint gain %",
    )
    for name, bandwidth, problem in _slow_to_fast():
        joint = solve(problem, SolverOptions("highs", 60.0, 1e-6)).objective or 0.0
        found = [one.objective for one in _ways(problem)]
        gain = 100 * (1 - joint / min(found))
        row = [f"{objective / joint:.3f}" if objective < float("inf") else "none" for objective in found]
        table.add_row(name, f"x{bandwidth:g}", f"{1e3 * joint:.2f}", *row, f"{gain:.1f}")
    _CONSOLE.print(table)


def _ways(problem: PlacementProblem) -> list[Baseline]:
    """Return the simpler ways to plan; the best single device stands for all of them."""
    return [one for one in baselines(problem, SolverOptions()) if " on " not in one.name]


def _slow_to_fast() -> Iterator[tuple[str, float, PlacementProblem]]:
    for bandwidth in (0.1, 0.3, 1.0, 3.0, 10.0, 100.0):
        yield "random, 60 units", bandwidth, random_problem(60, 3, 4, bandwidth)
    for name, problem in _measured_problems():
        if sum(not vertex.is_terminal for vertex in problem.vertices) < _MOST_FOR_BASELINES:
            limited = problem.with_limit(NOISE, _NOISE_SHARE * noise_in_int8(problem))
            limited = with_little_memory(limited, _MEMORY_SHARE)
            for bandwidth in (0.1, 1.0, 10.0, 100.0):
                yield name, bandwidth, with_bandwidth(limited, bandwidth)


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, justify="right")
    return table


PARTS = {
    "placement": placement,
    "models": models,
    "large": large,
    "growth": growth,
    "textbook": textbook,
    "today": today,
}

if __name__ == "__main__":
    for part in sys.argv[1:] or PARTS:
        begun = time.perf_counter()
        PARTS[part]()
        print(f"({part}: {time.perf_counter() - begun:.0f} s)\n", flush=True)
