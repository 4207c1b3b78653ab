"""One row per scenario: how large, how long, how much memory, how true.

    python benchmarks/main_job.py [SCENARIO.yaml ...]

Each scenario runs in a process of its own with an empty cache, one after another: run it on an
otherwise idle machine. Scenarios whose data are absent are named and left out.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table
from step_times import StepTimes

from planner.errors import ScenarioError
from planner.output.plan_folder import write_outcome
from planner.refinement.measured_scenario import SOLVING
from planner.run import plan_scenario
from planner.scenario.loader import load_scenario
from planner.verification.noisy_costs import of_costs_text
from profiling.noise.measure_noise import NOISE_STEP

_SCENARIOS = Path(__file__).parent.parent / "scenarios"


_PHASES = {
    "timing": "profile", "timing cuts": "profile", "timing again what other work slowed": "profile",
    "noise": "profile", NOISE_STEP: "profile", "noise of the largest sources": "profile",
    "noise of mixed models": "profile", "calibrating": "profile", "correcting biases": "profile",
    "trying out units": "profile", SOLVING: "solve", "timing the plan": "timing",
    "building the stages": "verify", "comparing the stages with the whole model": "verify",
    "timing the stages": "verify", "running the stages": "verify", "judging the answers": "verify",
}  # fmt: skip


class Row(msgspec.Struct):
    """What one scenario showed; seconds of what is no step named here only count in all."""

    scenario: str
    units: int
    variables: int
    profile_s: float
    solve_s: float
    timing_s: float
    verify_s: float
    total_s: float
    peak_mib: float
    timed_plans: int
    ratio_at_first: float | None
    ratio_predicted: float | None
    ratio_measured: float | None
    noise_predicted: float | None
    noise_measured: float | None
    score_fp32: float | None
    score: float | None
    verdict: str


def run_one(path: Path) -> Row:
    """Plan one scenario in this process."""
    steps = StepTimes()
    start = time.perf_counter()
    outcome = plan_scenario(load_scenario(path), steps)
    if outcome.built is not None and not outcome.failures:
        with tempfile.TemporaryDirectory() as folder:
            write_outcome(outcome, Path(folder) / "plan")
    total = time.perf_counter() - start
    seconds = defaultdict[str, float](float)
    for step, step_s in steps.seconds.items():
        seconds[_PHASES.get(step, step)] += step_s
    plan, measured, predicted = outcome.plan, outcome.plan.measured, outcome.plan.predicted
    return Row(
        scenario=path.stem,
        units=len(plan.assignments),
        variables=plan.solver.variables,
        profile_s=seconds["profile"],
        solve_s=seconds["solve"],
        timing_s=seconds["timing"],
        verify_s=seconds["verify"],
        total_s=total,
        peak_mib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        timed_plans=len(plan.loop),
        ratio_at_first=plan.loop[0].predicted_chain_ratio_to_fp32 if plan.loop else None,
        ratio_predicted=predicted.chain_ratio_to_fp32 if predicted else None,
        ratio_measured=measured.chain_ratio_to_fp32 if measured else None,
        noise_predicted=predicted.noise_relative_rms if predicted else None,
        noise_measured=measured.noise_relative_rms if measured else None,
        score_fp32=_score(measured.metric_fp32, measured.accuracy_fp32) if measured else None,
        score=_score(measured.metric, measured.accuracy) if measured else None,
        verdict="; ".join(outcome.failures) or plan.status + of_costs_text(plan.noisy_costs, plan.cost_doubt),
    )


def _score(metric: float | None, accuracy: float | None) -> float | None:
    """Return the scenario's own metric where it has one, else the accuracy."""
    return accuracy if metric is None else metric


def table(rows: list[Row]) -> Table:
    """Return the rows as a person reads them."""
    heads = (
        "scenario", "units", "vars", "profile s", "solve s", "timing s", "verify s", "total s",
        "peak MiB", "plans timed", "stages/fp32 at first", "pred.", "meas.", "noise pred.", "meas.",
        "score fp32", "plan", "verdict",
    )  # fmt: skip
    shown = Table(*heads)
    for row in rows:
        values = msgspec.structs.astuple(row)
        digits = (0, 0, 0, 1, 2, 1, 1, 1, 0, 0, 3, 3, 3, 4, 4, 4, 4, 0)
        shown.add_row(
            *(
                f"{v:.{d}f}" if isinstance(v, float) else "-" if v is None else str(v)
                for v, d in zip(values, digits, strict=True)
            )
        )
    return shown


def main() -> None:
    if sys.argv[1:2] == ["--one"]:
        print(msgspec.json.encode(run_one(Path(sys.argv[2]))).decode())
        return
    paths = [Path(a) for a in sys.argv[1:]] or sorted(_SCENARIOS.glob("*.yaml"))
    rows = []
    for path in paths:
        try:
            load_scenario(path)
        except ScenarioError as exc:
            print(f"left out: {exc}", file=sys.stderr)
            continue
        with tempfile.TemporaryDirectory() as cache:
            done = subprocess.run(
                [sys.executable, __file__, "--one", str(path)],
                env=os.environ | {"XDG_CACHE_HOME": cache},
                stdout=subprocess.PIPE,
                check=False,
                text=True,
            )
        if done.returncode:
            print(f"{path.stem}: left out, see above", file=sys.stderr)
            continue
        # The last line: a solver greets on standard output, too.
        rows.append(msgspec.convert(json.loads(done.stdout.splitlines()[-1]), Row))
        print(f"{path.stem}: {rows[-1].total_s:.0f} s", file=sys.stderr)
    Console(width=220).print(table(rows))


if __name__ == "__main__":
    main()
