from dataclasses import replace
from math import inf

import pytest
from measured_scenarios import small_basis

from planner.comparison.bandwidth_values import parse_bandwidths
from planner.comparison.baseline_rows import add_baselines
from planner.comparison.baselines import baselines
from planner.comparison.comparison_record import Row
from planner.comparison.plan_registry import PlanRegistry
from planner.comparison.sweep_points import Sweep, SweepPoints, UnreachableBudgetError
from planner.comparison.timed_sweep import ShownCosts

BANDWIDTHS = (0.02, 1.0, 40.0)


@pytest.fixture(scope="module")
def basis(tmp_path_factory):
    return small_basis(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def encoding_basis(tmp_path_factory):
    return small_basis(tmp_path_factory.mktemp("encoding"), wires=["float16", "uint8"])


def points_of(basis, **budgets) -> SweepPoints:
    bandwidths = parse_bandwidths(",".join(map(str, BANDWIDTHS)), [], basis.scenario)
    return SweepPoints(basis, Sweep(bandwidths, budgets))


def row_of(bandwidth: float | None, objective: float | None = None, **budgets: float) -> Row:
    return Row(
        bandwidth=bandwidth, budgets=budgets, status="optimal", plan=0, objective=objective, bound=objective
    )


def silent(*_: object) -> None:
    pass


def with_baselines(points, rows, rivals=None) -> list[Row]:
    return list(add_baselines(points, rows, rivals or PlanRegistry(points), 1, silent, ShownCosts.of(points)))


def test_each_row_has_what_each_simpler_way_comes_to_at_its_own_bandwidth(basis):
    """Where costs are lines over the bandwidth, they are worked out once; each row must still be its own."""
    points = points_of(basis)
    assert points.has_lines({})
    rows = with_baselines(points, [row_of(bandwidth, 0.01) for bandwidth in BANDWIDTHS])
    for row in rows:
        problem = points.problem(row.bandwidth, {})
        known = {one.name: one.objective for one in baselines(problem, replace(basis.options, gap=1e-4))}
        assert {name: inf if value is None else value for name, value in row.baselines.items()} == (
            pytest.approx(known, rel=1e-9)
        )
    assert len({row.baselines["single fp32 cut"] for row in rows}) == len(rows)


def test_rows_count_the_wires_that_are_best_at_their_own_bandwidth(encoding_basis, basis):
    """Encoding takes longer than it saves at a high bandwidth, and is worth it at a low one."""
    points = points_of(encoding_basis)
    rows = with_baselines(points, [row_of(bandwidth, 0.01) for bandwidth in BANDWIDTHS])
    for row in rows:
        problem = points.problem(row.bandwidth, {})
        options = replace(encoding_basis.options, gap=1e-4)
        known = {one.name: one.objective for one in baselines(problem, options)}
        assert {name: inf if value is None else value for name, value in row.baselines.items()} == (
            pytest.approx(known, rel=1e-3)
        )
    plain = with_baselines(points_of(basis), [row_of(bandwidth, 0.01) for bandwidth in BANDWIDTHS])
    assert rows[0].baselines["fp32 on server"] < 0.5 * plain[0].baselines["fp32 on server"]


def test_a_limit_on_latency_excludes_what_takes_longer_and_nothing_else(basis):
    points = points_of(basis)
    (free,) = with_baselines(points, [row_of(1.0)])
    known = sorted(value for value in free.baselines.values() if value is not None)
    middle = (known[0] + known[-1]) / 2
    assert known[0] < middle < known[-1]
    limited_points = points_of(basis, latency_ms=(middle * 1e3,))
    (limited,) = with_baselines(limited_points, [row_of(1.0, latency_ms=middle * 1e3)])
    for name, value in free.baselines.items():
        kept = value is not None and value <= middle
        if "then" in name:  # ways in two steps keep the limit in each
            continue
        assert limited.baselines[name] == (pytest.approx(value) if kept else None)


def test_the_best_of_them_is_named_its_plan_registered_and_the_gain_beside_it_told(basis):
    points = points_of(basis)
    rivals = PlanRegistry(points)
    (row,) = with_baselines(points, [row_of(1.0)], rivals)
    least = min(value for value in row.baselines.values() if value is not None)
    assert row.baselines[row.baseline] == least
    assert row.joint_gain is None  # there is no plan to compare with
    line = rivals.lines[row.baseline_plan]
    assert line.latency_s(1.0) == pytest.approx(least)
    for objective, gain in ((least / 4, 0.75), (least, 0.0), (least * (1 - 1e-11), 0.0), (2 * least, -1.0)):
        (told,) = with_baselines(points, [row_of(1.0, objective)])
        assert told.joint_gain == pytest.approx(gain, abs=1e-12)
        assert told.baselines == pytest.approx(row.baselines)


def test_a_row_whose_budgets_not_even_fp32_keeps_stays_as_it_is(basis):
    points = points_of(basis, accuracy_drop=(-1.0,))
    row = row_of(1.0, accuracy_drop=-1.0)
    with pytest.raises(UnreachableBudgetError):
        points.problem(1.0, row.budgets)
    assert with_baselines(points, [row]) == [row]


def test_where_no_way_keeps_the_budgets_none_is_named(basis):
    points = points_of(basis, latency_ms=(1e-6,))
    (row,) = with_baselines(points, [row_of(1.0, 0.01, latency_ms=1e-6)])
    assert set(row.baselines.values()) == {None}
    assert (row.baseline, row.baseline_plan, row.joint_gain) == ("", None, None)
