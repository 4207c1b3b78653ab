"""Plans over bandwidths and budgets: breakpoints against a dense sweep, rows, files and mistakes."""

import csv
import json
from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace

import models
import msgspec
import numpy as np
import pytest
from measured_scenarios import quickstart_basis, small_basis
from planned_models import scenario_around

import planner.comparison.plan_measurements
import planner.solver.solve_cache
from planner.cli.commands import main
from planner.comparison.bandwidth_and_budget_sweep import CompareRequest, compare
from planner.comparison.bandwidth_traces import uniform_log
from planner.comparison.bandwidth_values import parse_bandwidths
from planner.comparison.comparison_record import Comparison
from planner.comparison.plan_set import PlanSetRequest
from planner.comparison.sweep_points import Sweep, SweepPoints, with_budgets
from planner.errors import ScenarioError
from planner.output.comparison_folder import RunnableSet, read_plan_set, write_comparison
from planner.output.file_hash import sha256_of
from planner.output.run_exported import exported_stages, run_stages
from planner.plan.configuration import Configuration
from planner.problem.quantities import CostMetric, Quantity
from planner.refinement.measured_scenario import MeasuredScenario
from planner.refinement.noise_limit_search import SearchResult
from planner.refinement.unconstrained_noise import UnconstrainedNoisePlans
from planner.scenario.loader import parse_scenario
from planner.solver.solve import solve
from planner.solver.solver_options import SolverOptions
from planner.verification.stage_chain import Chain, same_bits
from profiling.on_device.create_session import Optimization
from profiling.precision import Precision
from profiling.records.json_files import load_json
from profiling.runtime.open_session import Runtime, open_session, run_session

THREE = {
    "devices": [
        {"name": "camera", "scaled_from": "server", "speedup": 0.01},
        {"name": "gateway", "scaled_from": "server", "speedup": 0.1},
        {"name": "server"},
    ],
    "links": [
        {"from": a, "to": b, "bandwidth_mbit_per_s": speed, "latency_ms": 0.01}
        for one, other, speed in (("camera", "gateway", 1), ("gateway", "server", 50))
        for a, b in ((one, other), (other, one))
    ],
    "source": "camera",
    "sink": "gateway",
}


def samples() -> dict[str, np.ndarray]:
    return {"x": np.random.default_rng(0).standard_normal((8, 1, 2, 8, 8)).astype(np.float32)}


@pytest.fixture(scope="module")
def basis():
    return quickstart_basis()


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return small_basis(tmp_path_factory.mktemp("small"))


def sweep_of(basis, text: str, *links: str, **budgets) -> Sweep:
    return Sweep(parse_bandwidths(text, links, basis.scenario), budgets)


@pytest.mark.parametrize("links", [(), ("camera-gateway",), ("all",)])
def test_breakpoints_are_those_of_a_dense_sweep(small, links):
    sweep = sweep_of(small, "0.01,1000", *links)
    found = compare(small, sweep).record
    assert len(found.pieces) > 1
    assert found.pieces[0].low == pytest.approx(0.01)
    assert found.pieces[-1].high == pytest.approx(1000)
    assert found.solves <= 2 + 3 * (len(found.pieces) - 1)
    points = SweepPoints(small, sweep)
    for bandwidth in np.geomspace(0.01, 1000, 60):
        best = solve(points.problem(float(bandwidth), {}), SolverOptions(gap=1e-7)).objective
        piece = next(one for one in found.pieces if bandwidth <= one.high * (1 + 1e-9))
        plan = found.plans[piece.plan]
        assert plan.fixed_s + plan.link_s / bandwidth == pytest.approx(best, rel=3e-6)


def test_plans_are_numbered_in_the_order_of_bandwidth(small):
    record = compare(small, Sweep(parse_bandwidths("0.01..1000", (), small.scenario))).record
    met = list(dict.fromkeys(piece.plan for piece in record.pieces))
    assert len(met) > 1
    assert met == list(range(len(met)))
    assert [plan.number for plan in record.plans] == list(range(len(record.plans)))
    for piece in record.pieces:
        best = min(plan.latency_s(piece.high) for plan in record.plans)
        assert record.plans[piece.plan].latency_s(piece.high) == pytest.approx(best)


def test_no_row_is_worse_than_any_simpler_way(small):
    found = compare(small, sweep_of(small, "0.1,10")).record
    assert [row.bandwidth for row in found.rows] == [0.1, 10]
    for row in found.rows:
        assert row.status == "optimal"
        known = [value for value in row.baselines.values() if value is not None]
        assert len(row.baselines) > 8
        assert row.objective <= min(known) * (1 + 1e-6)
        assert row.joint_gain == pytest.approx(1 - row.objective / min(known))


def test_two_sweeps_make_a_grid_with_infeasible_rows(small):
    weights = sum(unit.weight_bytes for unit in small.prepared.models.graph.units) / 2**20
    key = "memory_mib.camera"
    found = compare(small, sweep_of(small, "1,10", **{key: (weights / 1e6, weights * 100)})).record
    assert len(found.rows) == 4
    assert {row.budgets[key] for row in found.rows} == {weights / 1e6, weights * 100}
    assert all(row.status == "optimal" for row in found.rows if row.budgets[key] > 1)


def test_a_budget_that_nothing_keeps_is_a_row_not_a_failure(basis):
    tight = replace(basis.prepared, scenario=with_budgets(basis.scenario, {"memory_mib.camera": 1e-4}))
    pinned = tight.scenario.model_copy(
        update={"placement": tight.scenario.placement.model_copy(update={"pin": {"*": "camera"}})}
    )
    found = compare(replace(basis, prepared=replace(tight, scenario=pinned)), sweep_of(basis, "1,10")).record
    assert [row.status for row in found.rows] == ["infeasible"] * 2
    assert found.pieces == ()
    assert all(row.reason and row.plan is None for row in found.rows)


def test_a_latency_budget_cuts_off_slow_bandwidths(small):
    plain = compare(small, sweep_of(small, "0.1,100")).record
    between = (plain.rows[0].objective + plain.rows[1].objective) / 2
    scenario = with_budgets(small.scenario, {"latency_ms": between * 1e3})
    own = replace(small, prepared=replace(small.prepared, scenario=scenario))
    found = compare(own, sweep_of(small, "0.1,100")).record
    assert [row.status for row in found.rows] == ["infeasible", "optimal"]
    first = found.pieces[0]
    assert 0.1 < first.low < 100
    assert found.plans[first.plan].latency_s(first.low) == pytest.approx(between)
    with pytest.raises(ScenarioError, match=r"no plan keeps budget.latency_ms at 0.1, only from"):
        compare(
            own, sweep_of(small, "0.1,100"), CompareRequest(plan_set=PlanSetRequest(1, uniform_log(0.1, 100)))
        )
    nothing = with_budgets(small.scenario, {"latency_ms": 1e-6})
    own = replace(small, prepared=replace(small.prepared, scenario=nothing))
    assert compare(own, sweep_of(small, "0.1,100")).record.pieces == ()


def test_another_objective_has_rows_but_no_ranges(small):
    scenario = small.scenario.model_copy(update={"objective": "traffic"})
    own = replace(small, prepared=replace(small.prepared, scenario=scenario))
    found = compare(own, sweep_of(small, "0.1,100")).record
    assert found.pieces == ()
    assert found.objective == "traffic"
    assert all(row.objective is not None for row in found.rows)


def test_budgets_alone_can_vary(basis):
    found = compare(basis, Sweep(None, {"noise_relative_rms": (1e-6, 1.0)})).record
    first, second = (row.objective for row in found.rows)
    assert first >= second * (1 - 1e-9)
    assert [row.bandwidth for row in found.rows] == [None, None]


def test_what_an_interrupted_comparison_solved_is_not_solved_again(small, monkeypatch):
    sweep = sweep_of(small, "0.05,0.7,20")
    solved = []
    honest = planner.solver.solve_cache.solve

    def until_interrupted(problem, options, known):
        if len(solved) == 2:
            raise KeyboardInterrupt
        solved.append(problem)
        return honest(problem, options, known)

    monkeypatch.setattr(planner.solver.solve_cache, "solve", until_interrupted)
    with pytest.raises(KeyboardInterrupt):
        compare(small, sweep)
    monkeypatch.setattr(planner.solver.solve_cache, "solve", lambda *a: solved.append(a[0]) or honest(*a))
    whole = compare(small, sweep).record
    assert len({repr(problem) for problem in solved}) == len(solved)
    before = len(solved)
    again = compare(small, sweep).record
    assert len(solved) == before
    assert (again.rows, again.pieces, again.plans) == (whole.rows, whole.pieces, whole.plans)


def test_a_plan_that_breaks_a_budget_on_held_back_data_lowers_the_limit(basis):
    points = SweepPoints(basis, Sweep(None))
    budgets = {"noise_relative_rms": 0.012}
    units = basis.prepared.models.graph.units
    precisions = tuple(Precision.INT8 if unit.quantizable else Precision.FP32 for unit in units)
    loud = Configuration(("server",) * len(units), precisions)
    before = points.problem(None, budgets).tightest_limit(CostMetric.NOISE)
    assert points.lower_noise_limit(budgets, {loud: before})
    assert points.problem(None, budgets).tightest_limit(CostMetric.NOISE) < before
    silent = Configuration(("server",) * len(units), (Precision.FP32,) * len(units))
    assert not points.lower_noise_limit(budgets, {silent: 0.0})


@pytest.mark.parametrize("noise", [0.003, 0.01])
def test_every_plan_keeps_the_error_budgets_on_held_back_data(basis, noise):
    budgets = {"noise_relative_rms": noise}
    compared = compare(basis, sweep_of(basis, "0.05,3,1000", "all", noise_relative_rms=(noise,)))
    assert compared.record.plans
    points = SweepPoints(basis, Sweep(None))
    for chosen in compared.plans.chosen:
        assert not points.lower_noise_limit(budgets, {chosen: 1.0})
    numbers = [plan.number for plan in compared.record.plans]
    assert numbers == list(range(len(numbers)))
    assert {row.plan for row in compared.record.rows} <= set(numbers)


def test_error_budgets_that_even_fp32_breaks_are_rows(basis, monkeypatch):
    problem = basis.planning_problem(basis.latency).formulate()
    unconstrained = UnconstrainedNoisePlans(problem, basis.options)
    found = SearchResult(problem, None, (), unconstrained, unmet=("top1 0.5 instead of 1",))
    search = SimpleNamespace(solve_and_try_out=lambda *_: found)
    monkeypatch.setattr(MeasuredScenario, "noise_limit_search", search)
    strict = with_budgets(basis.scenario, {"top1_agreement": 0.987654})
    own = replace(basis, prepared=replace(basis.prepared, scenario=strict))
    for row in compare(own, sweep_of(basis, "1,10")).record.rows:
        assert (row.status, row.plan, row.baselines) == ("infeasible", None, {})
        assert row.reason == "even without quantization noise: top1 0.5 instead of 1"


def test_several_processes_find_the_same(small):
    one, two = (
        compare(small, sweep_of(small, "0.1,10"), CompareRequest(jobs=jobs)).record for jobs in (1, 2)
    )
    assert one.rows == two.rows


def test_a_front_is_of_plans_that_nothing_beats(small):
    found = compare(
        small, Sweep(None), CompareRequest(axes=(CostMetric.LATENCY, CostMetric.NOISE), corners=6)
    ).record
    points = [tuple(point.values.values()) for point in found.front.points]
    assert 3 <= len(points) <= 6
    assert points == sorted(points)
    noise = [own for _, own in points]
    assert noise == sorted(noise, reverse=True)
    assert noise[-1] == 0  # everything in fp32
    free = SweepPoints(small, Sweep(None)).problem(None, {}).with_limit(Quantity(CostMetric.NOISE), None)
    least = solve(free).objective
    assert points[0][0] == pytest.approx(least, rel=1e-4)
    for point, (latency, noise) in zip(found.front.points, points, strict=True):
        plan = found.plans[point.plan]
        assert plan.noise_relative_rms == pytest.approx(noise)
        assert plan.fixed_s == pytest.approx(latency)
        below = small.noise_model.invert(noise**2) * (1 - 1e-3)
        limited = solve(free.with_limit(Quantity(CostMetric.NOISE), below)) if noise else None
        if limited and limited.objective is not None:
            assert limited.objective >= latency * (1 - 1e-4)


def test_trials_measure_each_plan_once_and_judge_rows(basis):
    sweep = sweep_of(basis, "0.1,100")
    found = compare(basis, sweep, CompareRequest(trials=True)).record
    for plan in found.plans:
        assert plan.trial.measured.chain.basic_bit_equal
        assert plan.trial.measured.accuracy > 0.9
        assert plan.trial.fixed_s > 0
    for row in found.rows:
        plan = found.plans[row.plan]
        assert row.measured_s - row.objective == pytest.approx(plan.trial.fixed_s - plan.fixed_s)
        assert row.baseline_measured_s > 0
        assert row.broken == ()
    assert all(plan.trial.measured is None for plan in found.baseline_plans)
    for row in found.rows:
        plan, rival = found.plans[row.plan], found.baseline_plans[row.baseline_plan]
        if (plan.devices, plan.precisions, plan.cuts) == (rival.devices, rival.precisions, rival.cuts):
            assert row.measured_s == pytest.approx(row.baseline_measured_s)  # one plan is timed once


def test_a_plan_that_breaks_a_budget_on_the_evaluation_data_is_told(basis, monkeypatch):
    monkeypatch.setattr(
        planner.comparison.plan_measurements,
        "broken_budgets",
        lambda *_: iter([("accuracy_drop", 0.02, 0.5)]),
    )
    found = compare(basis, sweep_of(basis, "0.1,100"), CompareRequest(trials=True)).record
    assert all(row.broken == ("accuracy_drop is 0.5, budget 0.02",) for row in found.rows)


@pytest.mark.parametrize("most", [1, 2])
def test_the_plans_to_hold_are_written_for_a_runtime(basis, tmp_path, most):
    order = PlanSetRequest(most, uniform_log(0.05, 1000), 0.25)
    sweep = sweep_of(basis, "0.05,1000", "all")
    compared = compare(basis, sweep, CompareRequest(plan_set=order))
    write_comparison(compared, tmp_path / "o")
    found = compared.record.plan_set
    told = load_json(tmp_path / "o" / "plans.json", RunnableSet)
    assert len(compared.record.pieces) > 1
    assert len(told.plans) == most
    assert found.mean_latency_s == pytest.approx(found.free_latency_s * (1 + found.regret))
    assert found.regret >= 0
    assert told.plans[0].low is None
    assert told.plans[-1].high is None
    assert (told.compared_from, told.compared_to) == (pytest.approx(0.05), pytest.approx(1000))
    assert parse_scenario(bytes(told.scenario)) == basis.scenario
    for own in told.plans:
        assert own.compute_s == compared.record.plans[own.plan].compute_s
    assert read_plan_set(tmp_path / "o").plans == told.plans
    for slow, fast in pairwise(told.plans):
        assert slow.high == fast.low
        assert slow.leave_above == pytest.approx(slow.high * 1.25)
        assert fast.leave_below == pytest.approx(fast.low / 1.25)
        assert slow.fixed_s + slow.link_s / slow.high == pytest.approx(fast.fixed_s + fast.link_s / fast.low)
    files = {stage.file for plan in told.plans for stage in plan.stages}
    assert {str(path.relative_to(tmp_path / "o")) for path in (tmp_path / "o" / "stages").iterdir()} == files
    feeds = basis.prepared.evaluation.samples[0]
    for own in told.plans:
        stages = [tmp_path / "o" / stage.file for stage in own.stages]
        assert any(stage.file.startswith(f"stages/plan-{own.plan}-") for stage in own.stages)
        for stage, path in zip(own.stages, stages, strict=True):
            assert sha256_of(path) == stage.sha256
            assert [i.name for i in open_session(path, Runtime()).get_inputs()] == [
                port.name for port in stage.inputs
            ]
        outputs = [port.name for port in told.outputs]
        got = Chain(stages, Runtime(), Optimization.BASIC).run(feeds, outputs)
        run = run_stages(exported_stages(tmp_path / "o", plan=own.plan), feeds)
        assert same_bits({name: run[name][0] for name in outputs}, got)
        whole = basis.build(compared.plans.chosen[own.plan]).mixed
        want = run_session(open_session(whole, Runtime(), Optimization.BASIC), feeds)
        assert same_bits(got, want)


def test_more_plans_are_never_slower(small):
    sweep = sweep_of(small, "0.05,1000", "all")
    orders = [PlanSetRequest(most, uniform_log(0.05, 1000)) for most in (1, 2, 9)]
    found = [compare(small, sweep, CompareRequest(plan_set=order)).record for order in orders]
    regrets = [one.plan_set.regret for one in found]
    assert regrets == sorted(regrets, reverse=True)
    assert regrets[0] > regrets[2]
    assert regrets[2] == pytest.approx(0, abs=1e-12)
    assert len(found[2].plan_set.plans) <= len(found[2].pieces)


def test_equal_stages_lie_in_one_file(basis, tmp_path):
    sweep = sweep_of(basis, "0.05,1000", "all")
    compared = compare(basis, sweep, CompareRequest(plan_set=PlanSetRequest(1, uniform_log(0.05, 1000))))
    held = compared.record.plan_set
    twice = msgspec.structs.replace(held, plans=(*held.plans, *held.plans))
    doubled = replace(compared, record=msgspec.structs.replace(compared.record, plan_set=twice))
    write_comparison(doubled, tmp_path / "o")
    told = load_json(tmp_path / "o" / "plans.json", RunnableSet)
    assert told.plans[0].stages == told.plans[1].stages
    assert len(list((tmp_path / "o" / "stages").iterdir())) == len(told.plans[0].stages)


@pytest.fixture
def told(tmp_path, capsys):
    scenario_around(tmp_path, models.residual(), samples())
    data = {"npz": str(tmp_path / "d.npz")}
    content = THREE | {
        "model": str(tmp_path / "m.onnx"),
        "data": {"calibration": data, "evaluation": data},
        "profiling": {"rounds": 3, "noise_samples": 2},
    }
    (tmp_path / "s.yaml").write_text(json.dumps(content))

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as done:
            main(["compare", str(tmp_path / "s.yaml"), "--out", str(tmp_path / "o"), *arguments])
        captured = capsys.readouterr()
        return done.value.code, captured.out, captured.err

    return run


def test_the_folder_holds_the_comparison_twice(told, tmp_path):
    code, out, _ = told("--bandwidth", "0.1,10")
    assert code == 0
    assert "best plan per range" in out
    found = load_json(tmp_path / "o" / "compare.json", Comparison)
    rows = list(csv.DictReader((tmp_path / "o" / "compare.csv").read_text().splitlines()))
    assert [float(row["objective"]) for row in rows] == [row.objective for row in found.rows]
    assert [int(row["plan"]) for row in rows] == [row.plan for row in found.rows]


def test_one_document_and_nothing_else(told):
    code, out, _ = told("--bandwidth", "1,2", "--json")
    assert code == 0
    assert json.loads(out)["format"] == 2


def test_a_trace_is_followed(told, tmp_path):
    (tmp_path / "walk.csv").write_text("seconds,mbit_per_s\n0,0.1\n1,50\n2,0.1\n3,50\n")
    code, out, _ = told(
        "--plans", "2", "--trace", str(tmp_path / "walk.csv"), "--hysteresis", "0.1", "--json"
    )
    assert code == 0
    held = json.loads(out)["plan_set"]
    assert held["bandwidths"] == "the trace walk.csv"
    assert held["changes"] in (0, 3)
    assert held["followed_latency_s"] >= held["mean_latency_s"] * (1 - 1e-9)
    assert (tmp_path / "o" / "plans.json").exists()


MISTAKES = {
    (): (2, "nothing to compare"),
    ("--bandwidth", "2,1"): (1, "--bandwidth 2,1: 1 comes after 2; write them ascending"),
    ("--bandwidth", "1", "--link", "x"): (1, "--link x: no such link"),
    ("--memory", "x=1"): (1, "--memory x=1: write DEVICE=1,2,4"),
    ("--memory", "camera=one"): (1, "'one' is not a number"),
    ("--pareto", "latency"): (1, "--pareto latency: name two or three different quantities"),
    ("--pareto", "latency,speed"): (1, "--pareto latency,speed: 'speed' is none of latency,"),
    ("--pareto", "latency,energy"): (1, "energy needs devices[].active_watt in the scenario"),
    ("--pareto", "latency,noise", "--points", "1"): (2, "--points 1: plans on a front are 2 to 1000"),
    ("--plans", "2"): (2, "--plans: needs --bandwidth LOW..HIGH, --trace or --distribution"),
    ("--plans", "0", "--bandwidth", "1..9"): (2, "--plans 0: plans that a runtime holds are 1 to 1000"),
    ("--plans", "2", "--bandwidth", "1"): (1, "--plans: chooses from the ranges"),
    ("--bandwidth", "1..9", "--distribution", "1:1"): (2, "--distribution: says how plans are met, but not"),
    ("--plans", "2", "--bandwidth", "1..9", "--distribution", "10:1"): (
        2,
        "does not cover 10, which the distribution",
    ),
    ("--plans", "2", "--distribution", "10:1"): (2, "--plans: the distribution that was given never changes"),
    ("--plans", "2", "--bandwidth", "1..9", "--noise", "0.1,0.2"): (2, "--plans: is for one set of budgets"),
    ("--plans", "2", "--bandwidth", "1..9", "--hysteresis", "-1"): (2, "--hysteresis -1: must be a fraction"),
    ("--plans", "2", "--trace", "none.csv"): (1, "--trace none.csv: No such file or directory"),
    ("--noise", "0.1", "--link", "camera-gateway"): (2, "--link camera-gateway: needs --bandwidth"),
    ("--bandwidth", "1,5..10"): (1, "--bandwidth 1,5..10: a range is LOW..HIGH, such as 0.1..1000"),
    ("--bandwidth", "1", "--jobs", "0"): (2, "--jobs 0: processes at once are 1 to 1024"),
    ("--memory", "camera"): (1, "--memory: '' is not a number"),
    ("--noise", "0"): (1, "--noise 0: 0 is not a number above 0"),
}


@pytest.mark.parametrize("arguments", MISTAKES)
def test_a_mistake_is_told_in_one_line(told, tmp_path, arguments):
    code, out, err = told(*arguments)
    expected, text = MISTAKES[arguments]
    assert (code, out) == (expected, "")
    assert text in err
    assert len(err.strip().splitlines()) == 1
    assert not (tmp_path / "o").exists()
