"""Comparisons whose plans are timed in place."""

import msgspec
import numpy as np
import pytest
from measured_scenarios import small_basis

from planner.comparison.bandwidth_and_budget_sweep import CompareRequest, compare, compare_timed
from planner.comparison.bandwidth_values import parse_bandwidths
from planner.comparison.plan_registry import PlanRegistry
from planner.comparison.sweep_points import Sweep, SweepPoints
from planner.comparison.timed_sweep import ShownCosts, _with_bound
from planner.problem.cost_evaluation import evaluate
from planner.problem.quantities import CostMetric
from planner.refinement.closed_loop import corrected
from planner.report.tables.comparison_table import untimed_lines


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return small_basis(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def found(small):
    return compare_timed(small, Sweep(parse_bandwidths("0.01,1,1000", (), small.scenario)), CompareRequest())


def test_each_plan_costs_what_it_showed_itself(small, found):
    sweep = Sweep(parse_bandwidths("0.01,1,1000", (), small.scenario))
    for chosen, choice, line in zip(found.plans.chosen, found.plans.choices, found.record.plans, strict=True):
        latency = corrected(small.latency, small.timings(chosen), small.latency)
        problem = SweepPoints(small, sweep, small.planning_problem(latency)).problem(1.0, {})
        assert line.timed
        assert line.latency_s(1.0) == pytest.approx(evaluate(problem, choice).latency_s, rel=1e-9)


def test_the_best_of_the_timed_plans_is_taken_everywhere(found):
    record = found.record
    assert record.pieces[0].low == pytest.approx(0.01)
    assert record.pieces[-1].high == pytest.approx(1000)
    for bandwidth in np.geomspace(0.01, 1000, 40):
        piece = next(one for one in record.pieces if bandwidth <= one.high * (1 + 1e-9))
        least = min(plan.latency_s(bandwidth) for plan in record.plans)
        assert record.plans[piece.plan].latency_s(bandwidth) == pytest.approx(least, rel=1e-5)
    for row in record.rows:
        assert row.objective == pytest.approx(record.plans[row.plan].latency_s(row.bandwidth))
        assert row.bound <= row.objective


def test_a_row_by_itself_is_what_the_same_row_of_a_sweep_is(small, found):
    alone = compare_timed(small, Sweep(parse_bandwidths("1", (), small.scenario)), CompareRequest()).record
    (row,) = alone.rows
    inside = next(one for one in found.record.rows if one.bandwidth == 1)
    assert alone.plans[row.plan].timed
    if alone.plans[row.plan].summary == found.record.plans[inside.plan].summary:
        assert row.objective == pytest.approx(inside.objective, rel=1e-9)


def test_a_baseline_that_is_the_plan_gains_nothing(found):
    for row in found.record.rows:
        rival, plan = found.record.baseline_plans[row.baseline_plan], found.record.plans[row.plan]
        if (rival.devices, rival.precisions) == (plan.devices, plan.precisions):
            assert row.joint_gain == pytest.approx(0.0, abs=5e-3)


def test_where_no_device_runs_here_nothing_is_timed(small, monkeypatch):
    monkeypatch.setattr("planner.refinement.measured_scenario.plan_timings", lambda *_: {})
    sweep = Sweep(parse_bandwidths("0.01,1000", (), small.scenario))
    timed, priced = compare_timed(small, sweep, CompareRequest()).record, compare(small, sweep).record
    assert not any(plan.timed for plan in timed.plans)
    assert timed.pieces == priced.pieces
    assert timed.rows == priced.rows
    (line,) = untimed_lines(timed)
    assert line.startswith("plans are not timed in place")


def test_plans_that_were_not_timed_are_named(found):
    plans = [msgspec.structs.replace(plan, timed=plan.number > 0) for plan in found.record.plans]
    record = msgspec.structs.replace(found.record, plans=tuple(plans))
    first, *_ = untimed_lines(record)
    assert first.startswith("plan 0: not timed")


def test_a_plan_on_one_device_is_not_better_than_the_best_on_one_device(found):
    for row in found.record.rows:
        plan = found.record.plans[row.plan]
        if len(set(plan.devices)) == 1:
            assert row.baselines["one device, mixed precision"] <= row.objective * (1 + 1e-9)
            assert row.joint_gain <= 1e-9


def test_the_front_has_each_timed_plan_that_none_beats(small):
    sweep = Sweep(parse_bandwidths("0.01,1000", (), small.scenario))
    request = CompareRequest(axes=(CostMetric.LATENCY, CostMetric.NOISE), corners=4)
    record = compare_timed(small, sweep, request).record
    points = {point.plan: point.values for point in record.front.points}
    own = small.scenario.links[0].bandwidth_mbit_per_s
    for plan in record.plans:
        latency, noise = plan.latency_s(own), plan.noise_relative_rms
        if plan.number in points:
            assert points[plan.number]["latency"] == pytest.approx(latency, rel=1e-6)
        elif plan.timed:
            assert any(
                one["latency"] <= latency * (1 + 1e-6) and one["noise"] <= noise * (1 + 1e-6)
                for one in points.values()
            )
    rows = [(values["latency"], values["noise"]) for values in points.values()]
    assert rows == sorted(rows)
    assert [noise for _, noise in rows] == sorted((noise for _, noise in rows), reverse=True)


def test_a_plan_is_registered_at_what_it_showed_itself_whoever_finds_it(small, found):
    points = SweepPoints(small, Sweep(None))
    own, other = found.plans.chosen[0], found.plans.chosen[-1]
    shown = (
        ShownCosts.of(points).with_timing(own, small.timings(own)).with_timing(other, small.timings(other))
    )
    line = shown.registered(found.plans.choices[0], PlanRegistry(points), None, {})
    priced = evaluate(shown.points_of(own).problem(None, {}), found.plans.choices[0])
    assert line.timed
    assert line.latency_s(1.0) == pytest.approx(priced.latency_s, rel=1e-9)
    assert not ShownCosts.of(points).registered(found.plans.choices[0], PlanRegistry(points), None, {}).timed


@pytest.mark.parametrize(("objective", "status"), [(1.0, "optimal"), (1.004, "optimal"), (1.02, "feasible")])
def test_a_point_is_optimal_only_if_its_own_timing_is_as_good_as_what_was_proved(objective, status, found):
    row = msgspec.structs.replace(found.record.rows[0], objective=objective, status="optimal")
    solved = msgspec.structs.replace(row, objective=1.0, bound=1.0)
    own = _with_bound(row, solved)
    assert (own.status, own.bound) == (status, 1.0)
