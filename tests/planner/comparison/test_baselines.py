import subprocess
import sys
from math import inf

from hypothesis import given, settings
from repository import ROOT
from small_problems import ENDLESS_PRESOLVE
from strategies import problems

from planner.comparison.baselines import baselines, solve_baseline_work, solved_baselines
from planner.problem.quantities import CostMetric
from planner.solver.solve import solve
from planner.solver.solver_options import SolverOptions


@settings(max_examples=12, deadline=None)
@given(problems(max_units=4))
def test_no_simpler_way_beats_the_joint_plan(problem):
    joint = solve(problem).objective
    for one in baselines(problem, SolverOptions()):
        assert one.objective >= (inf if joint is None else joint * (1 - 1e-6) - 1e-9), one.name


def test_each_way_has_its_name():
    found = baselines(ENDLESS_PRESOLVE, SolverOptions())
    assert [one.name for one in found] == [
        "fp32 on d0",
        "fp32 on d1",
        "one device",
        "single fp32 cut",
        "uniform precision, single cut",
        "minimum fp32 cut",
        "quantize, then split",
        "split, then quantize",
    ]


def test_less_choice_is_never_better():
    free = ENDLESS_PRESOLVE
    for limit in free.limits:
        free = free.with_limit(limit.quantity, None)
    found = {one.name: one.objective for one in baselines(free, SolverOptions())}
    assert found["single fp32 cut"] >= found["uniform precision, single cut"]
    assert found["one device"] >= found["single fp32 cut"]
    assert found["single fp32 cut"] >= found["minimum fp32 cut"] - 1e-12
    assert free.tightest_limit(CostMetric.NOISE) == inf
    assert found["minimum fp32 cut"] >= found["split, then quantize"] - 1e-12


def test_work_gives_what_solving_gives_and_none_gives_nothing():
    found = solve_baseline_work((ENDLESS_PRESOLVE, SolverOptions()))
    expected = solved_baselines(ENDLESS_PRESOLVE, SolverOptions())
    assert [(one.name, one.objective) for one in found] == [(one.name, one.objective) for one in expected]
    assert solve_baseline_work(None) == ()


def test_a_process_that_solves_baselines_loads_no_runtime():
    """A comparison starts one per core, each time."""
    code = f"import sys, {solve_baseline_work.__module__}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    loaded = set(done.stdout.split())
    assert "pulp" in loaded
    assert not loaded & {"onnx", "onnxruntime", "matplotlib", "pydantic"}
