"""Prints how exact and how fast comparisons are, and what their pages weigh, against what we want.

python benchmarks/compare.py [sweep] [rows] [page]
"""

import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from planner.comparison.bandwidth_and_budget_sweep import CompareRequest, compare
from planner.comparison.bandwidth_values import parse_bandwidths
from planner.comparison.comparison_record import Comparison
from planner.comparison.sweep_points import Sweep, SweepPoints
from planner.errors import ScenarioError
from planner.inputs.prepared_scenario import prepare
from planner.refinement.measured_scenario import MeasuredScenario, measure_scenario
from planner.scenario.loader import load_scenario
from planner.solver.solve import solve
from profiling.directories import cache_folder
from profiling.records.json_files import load_json

ROOT = Path(__file__).resolve().parent.parent
SCENARIOS = ("quickstart", "resnet56", "mobilenetv2")
RANGE = "0.1..1000"
DENSE = 200
_CONSOLE = Console(width=150)
_PLAN = Path(sys.executable).parent / "plan"


def _basis(name: str) -> MeasuredScenario | None:
    """Return a measured scenario, profiled or from the cache; None where its data are not here."""
    try:
        return measure_scenario(prepare(load_scenario(ROOT / "scenarios" / f"{name}.yaml", [])))
    except ScenarioError as exc:
        _CONSOLE.print(f"{name} is left out: {exc}")
        return None


def _forget_points() -> None:
    """Drop solved problems and trials from the cache, but no profile, so that everything is solved anew."""
    for kind in ("solved", "trial", "times"):
        for path in cache_folder().glob(f"{kind}-*.json"):
            path.unlink()


def sweep() -> None:
    """Print breakpoints against a dense sweep."""
    table = _table(
        f"breakpoints over {RANGE} Mbit/s against {DENSE} bandwidths solved by themselves",
        "scenario", "breakpoints", "solves", "per breakpoint (<= 3)", "s", "worst difference (<= 1e-6)",
        "dense sweep s",
    )  # fmt: skip
    for name in SCENARIOS:
        basis = _basis(name)
        if basis is None:
            continue
        _forget_points()
        order = Sweep(parse_bandwidths(RANGE, (), basis.scenario))
        points = SweepPoints(basis, order)
        points.problem(1.0, {})  # tightening measures; it is no part of the search
        begun = time.perf_counter()
        found = compare(basis, order, CompareRequest(jobs=2)).record
        seconds = time.perf_counter() - begun
        worst, begun = 0.0, time.perf_counter()
        options = replace(basis.options, gap=1e-7)
        for bandwidth in np.geomspace(*(float(part) for part in RANGE.split("..")), DENSE):
            best = solve(points.problem(float(bandwidth), {}), options).objective or 0.0
            piece = next(one for one in found.pieces if bandwidth <= one.high * (1 + 1e-9))
            own = found.plans[piece.plan].latency_s(float(bandwidth))
            worst = max(worst, abs(own - best) / best)
        changes = len(found.pieces) - 1
        each = f"{found.solves / changes:.1f}" if changes else "-"
        dense = time.perf_counter() - begun
        table.add_row(
            name, str(changes), str(found.solves), each, f"{seconds:.1f}", f"{worst:.1e}", f"{dense:.0f}"
        )
    _CONSOLE.print(table)


def rows() -> None:
    """Print the joint plan beside its best baseline, predicted and measured, as the command does it."""
    table = _table(
        f"plan compare --bandwidth {RANGE}, profile cached, points not",
        "scenario", "s (<= 30)", "with --verify s", "rows", "best baseline / joint, predicted: least (>= 1)",
        "most", "joint / best baseline, measured: median", "most", "chains bit-equal", "budgets broken",
    )  # fmt: skip
    for name in SCENARIOS:
        if _basis(name) is None:
            continue
        with tempfile.TemporaryDirectory() as folder:
            _command(name, Path(folder) / "warm")  # the noise limit is measured once, as profiles are
            _forget_points()
            seconds = _command(name, Path(folder) / "o")
            _forget_points()
            verified = _command(name, Path(folder) / "v", "--verify")
            found = load_json(Path(folder) / "v" / "compare.json", Comparison)
        predicted = [min(filter(None, row.baselines.values())) / (row.objective or 1.0) for row in found.rows]
        pairs = [(row.measured_s, row.baseline_measured_s) for row in found.rows]
        measured = [own / other for own, other in pairs if own and other]
        tried = [plan.trial.measured for plan in found.plans if plan.trial and plan.trial.measured]
        table.add_row(
            name,
            f"{seconds:.1f}",
            f"{verified:.1f}",
            str(len(found.rows)),
            f"{min(predicted):.6f}",
            f"{max(predicted):.3f}",
            f"{statistics.median(measured):.3f}",
            f"{max(measured):.3f}",
            f"{sum(one.chain.basic_bit_equal for one in tried)} of {len(tried)}",
            str(sum(len(row.broken) for row in found.rows)),
        )
    _CONSOLE.print(table)


def _command(name: str, folder: Path, *more: str) -> float:
    """Return the seconds of the command."""
    begun = time.perf_counter()
    scenario = ROOT / "scenarios" / f"{name}.yaml"
    command = [_PLAN, "compare", scenario, "--bandwidth", RANGE, "--out", folder, *more]
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - begun


def page() -> None:
    """Print what pages weigh, and how long a browser takes beyond an empty one."""
    table = _table("report.html", "of", "KiB (<= 977)", "opens in s (< 1)", "references outside (0)")
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with tempfile.TemporaryDirectory() as folder:
        empty = Path(folder) / "empty.html"
        empty.write_text("<!doctype html><title>empty</title>")
        for name in SCENARIOS:
            if _basis(name) is None:
                continue
            _command(name, Path(folder) / "c", "--pareto", "latency,noise")
            subprocess.run(
                [_PLAN, ROOT / "scenarios" / f"{name}.yaml", "--out", Path(folder) / "p"],
                check=True,
                capture_output=True,
            )
            for kind, path in (("comparison", "c"), ("plan", "p")):
                report = Path(folder) / path / "report.html"
                opened = "no browser" if browser is None else f"{_opening(browser, report, empty):.2f}"
                text = report.read_text()
                outside = sum(
                    text.count(f'{key}="{scheme}') for key in ("src", " href") for scheme in ("http", "//")
                )
                table.add_row(f"{name}, {kind}", f"{report.stat().st_size / 1024:.0f}", opened, str(outside))
    _CONSOLE.print(table)


def _opening(browser: str, report: Path, empty: Path) -> float:
    """Return the median of seconds to open a page, less those of an empty one, in turn."""
    found = []
    for _ in range(5):
        pair = []
        for path in (report, empty):
            begun = time.perf_counter()
            subprocess.run(
                [browser, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", f"file://{path}"],
                check=True,
                capture_output=True,
            )
            pair.append(time.perf_counter() - begun)
        found.append(pair[0] - pair[1])
    return statistics.median(found)


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, justify="right")
    return table


def main(parts: Sequence[str]) -> None:
    known = {"sweep": sweep, "rows": rows, "page": page}
    for part in parts or known:
        known[part]()


if __name__ == "__main__":
    main(sys.argv[1:])
