"""The mixture with a network of paths in its program, beside the one with a row for each path."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.problem.devices import Device
from planner.problem.placement_problem import PlacementProblem
from planner.problem.tensors import Flow, WireForm
from planner.problem.units import Option, Vertex
from planner.solver.lagrangian.path_lengths import BEGIN, END, PathGraph
from planner.solver.lagrangian.path_master import PathMaster, Span
from planner.solver.lagrangian.restricted_master import (
    INFEASIBILITY_PENALTY,
    Column,
    Maximum,
    Mixture,
    solve_restricted_master,
)

LIMIT, LOAD, OTHER = range(3)  # rows: of a limit, in the makespan, and of another maximum
EIGHTHS = st.integers(0, 24).map(lambda eighths: eighths / 8)


def graph_of(*readers: tuple[int, ...]) -> PathGraph:
    """Return the paths of units, given which ones read what each makes."""
    form = WireForm("float", 0, 0, (), (((),),))
    vertices = tuple(Vertex(f"u{v}", (Option(0),)) for v in range(len(readers)))
    flows = tuple(Flow(f"t{v}", v, read, (form,)) for v, read in enumerate(readers) if read)
    return PathGraph(PlacementProblem((Device("d"),), vertices, flows, ()))


CHAIN = graph_of((1,), ())
DIAMOND = graph_of((1, 2), (3,), (3,), ())
FORKS = graph_of((1, 2), (3, 4), (4,), (), ())


def paths_of(graph: PathGraph, node: int = BEGIN) -> list[tuple[int, ...]]:
    """Return the segments of each path to the end."""
    if node == END:
        return [()]
    return [(s, *rest) for s in graph.leaving[node] for rest in paths_of(graph, graph.segments[s].head)]


def columns_of(graph: PathGraph):
    usage = st.tuples(EIGHTHS, EIGHTHS, EIGHTHS)
    lengths = st.tuples(*[EIGHTHS] * len(graph.segments))
    # The first keeps the limit, so that nothing is paid for exceeding it.
    plans = st.lists(st.builds(Column, EIGHTHS, usage, lengths), min_size=1, max_size=5)
    return plans.map(lambda all_: [replace(all_[0], usage=(0.5, *all_[0].usage[1:])), *all_[1:]])


CASES = st.sampled_from([CHAIN, DIAMOND, FORKS]).flatmap(
    lambda graph: st.tuples(st.just(graph), columns_of(graph))
)
WEIGHTS = st.tuples(st.integers(1, 4), st.integers(0, 2))


def spans_of(weight: float, *serial: int) -> list[Span]:
    return [Span(Maximum(weight, (LOAD,)), 0, serial)]


def master_of(graph, plans, spans, maxima=()) -> PathMaster:
    master = PathMaster(graph, spans, maxima, 3 if maxima else len(plans[0].usage), plans)
    for plan in plans:
        master.add(plan)
    return master


def with_a_row_per_path(graph, plans, weights, serial) -> Mixture:
    """Return the best mixture, of which each path is a row."""
    paths = paths_of(graph)
    rows = [
        replace(
            plan,
            usage=(
                *plan.usage,
                *(sum(plan.lengths[s] for s in path) + sum(plan.usage[r] for r in serial) for path in paths),
            ),
        )
        for plan in plans
    ]
    makespan = Maximum(weights[0], (LOAD, *range(3, 3 + len(paths))))
    return solve_restricted_master(rows, [makespan, Maximum(weights[1], (OTHER,))])


@settings(max_examples=80, deadline=None)
@given(CASES, WEIGHTS, st.sampled_from([(), (LIMIT,), (LIMIT, LOAD)]))
def test_the_mixture_is_that_with_a_row_for_each_path(case, weights, serial):
    graph, plans = case
    master = master_of(graph, plans, spans_of(weights[0], *serial), [Maximum(weights[1], (OTHER,))])
    mixture, _ = master.solve()
    assert mixture.cost == pytest.approx(with_a_row_per_path(graph, plans, weights, serial).cost, abs=1e-6)
    assert sum(mixture.shares) == pytest.approx(1)
    assert len(mixture.shares) == len(plans)


@settings(max_examples=80, deadline=None)
@given(CASES, WEIGHTS)
def test_at_its_multipliers_no_plan_is_below_the_mixture_and_paths_share_the_weight(case, weights):
    graph, plans = case
    master = master_of(graph, plans, spans_of(weights[0]), [Maximum(weights[1], (OTHER,))])
    mixture, of_segments = master.solve()
    limit, load, other = mixture.multipliers
    for plan in plans:
        paid = limit * (plan.usage[LIMIT] - 1) + load * plan.usage[LOAD] + other * plan.usage[OTHER]
        paid += sum(price * s for price, s in zip(of_segments, plan.lengths, strict=True))
        assert plan.cost + paid >= mixture.cost - 1e-6
    assert min(of_segments) >= 0
    for node in (node for node in graph.order if node != BEGIN):
        into, out = (
            sum(price for price, s in zip(of_segments, graph.segments, strict=True) if end(s) == node)
            for end in (lambda s: s.head, lambda s: s.tail)
        )
        assert into <= out + 1e-6
    ending = sum(p for p, s in zip(of_segments, graph.segments, strict=True) if s.head == END)
    assert ending + load <= weights[0] + 1e-6


@settings(max_examples=40, deadline=None)
@given(CASES, WEIGHTS)
def test_plans_that_come_later_count_as_if_they_had_been_there(case, weights):
    graph, plans = case
    maxima = [Maximum(weights[1], (OTHER,))]
    grown = PathMaster(graph, spans_of(weights[0]), maxima, 3, plans)
    costs = []
    for plan in plans:
        grown.add(plan)
        costs.append(grown.solve()[0].cost)
    assert grown.columns == len(plans)
    # One more to choose from never costs more.
    assert costs == pytest.approx(sorted(costs, reverse=True), abs=1e-6)
    together = master_of(graph, plans, spans_of(weights[0]), maxima)
    assert costs[-1] == pytest.approx(together.solve()[0].cost, abs=1e-6)


def test_the_longest_path_of_the_mean_counts_and_not_the_mean_of_the_longest():
    """Each plan is slow on another side of the diamond: half of each is 4 s long, where each alone is 6 s."""
    sides = [s for s, side in enumerate(DIAMOND.segments) if (side.tail, side.head) == (0, 3) and side.edges]
    assert len(sides) == 2
    plans = []
    for slow, quick in (sides, sides[::-1]):
        lengths = [0.0] * len(DIAMOND.segments)
        lengths[slow], lengths[quick] = 6.0, 2.0
        plans.append(Column(0.0, (), tuple(lengths)))
    master = PathMaster(DIAMOND, [Span(Maximum(1.0, ()), 0)], (), 0, plans)
    for plan in plans:
        master.add(plan)
    mixture, _ = master.solve()
    assert mixture.cost == pytest.approx(4.0)
    assert mixture.shares == pytest.approx((0.5, 0.5))


def test_where_no_mixture_keeps_the_limit_exceeding_it_is_paid():
    plan = Column(3.0, (1.25,), (0.0,) * len(CHAIN.segments))
    master = PathMaster(CHAIN, [Span(Maximum(1.0, ()), 0)], (), 1, [plan])
    master.add(plan)
    mixture, _ = master.solve()
    assert mixture.cost == pytest.approx(3.0 + 0.25 * INFEASIBILITY_PENALTY * 3.0)
    assert mixture.multipliers == pytest.approx((INFEASIBILITY_PENALTY * 3.0,))
