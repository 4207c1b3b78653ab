import itertools
from dataclasses import replace

import oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.problem.device_visits import with_visits
from planner.problem.devices import Device, Link
from planner.problem.placement_problem import PlacementProblem
from planner.problem.quantities import CostMetric, Limit, ObjectiveTerm, Quantity
from planner.problem.tensors import Flow, WireForm
from planner.problem.units import Option, Vertex
from planner.solver.pipeline.pipeline_dp import PERIOD, best_pipeline
from planner.solver.presolve.device_symmetry import are_interchangeable
from planner.solver.presolve.merge_units import merge_costless_units
from planner.solver.presolve.stage_windows import feasible_options
from planner.solver.result import SolveStatus
from planner.solver.solve import solve


@st.composite
def hubs(draw, cpu_is_convex: bool = True) -> PlacementProblem:
    """Accelerators around a processor, as in the published placement workloads."""
    units, accelerators = draw(st.integers(1, 5)), draw(st.integers(1, 2))
    small = st.integers(0, 9).map(float)
    hub = accelerators
    links = [Link(f"{a}-hub", a, hub) for a in range(hub)] + [Link(f"hub-{a}", hub, a) for a in range(hub)]
    routes = tuple(
        tuple(
            () if a == b else (*((a,) if a < hub else ()), *((hub + b,) if b < hub else ()))
            for b in range(hub + 1)
        )
        for a in range(hub + 1)
    )
    vertices = []
    for u in range(units):
        seconds, weight = draw(small), draw(small)
        options = [Option(a, seconds=seconds, weight_bytes=weight) for a in range(hub)]
        vertices.append(Vertex(f"u{u}", (*options, Option(hub, seconds=draw(small) * 3))))
    readers = {
        u: draw(st.sets(st.integers(u + 1, units - 1))) if u + 1 < units else set() for u in range(units)
    }
    flows = []
    for u, consumers in readers.items():
        if consumers:
            cost = draw(small)
            form = WireForm("float", 0, 1, (cost,) * len(links), routes)
            flows.append(Flow(f"t{u}", u, tuple(sorted(consumers)), (form,)))
    room = draw(st.none() | st.integers(5, 30))
    limits = [Limit(Quantity(CostMetric.MEMORY, a), room) for a in range(hub)] if room is not None else []
    together = ((0, units - 1),) if units > 2 and draw(st.integers(0, 4)) == 0 else ()
    return PlacementProblem(
        (
            *(Device(f"a{a}", transfers_block=True) for a in range(hub)),
            Device("cpu", contiguous=cpu_is_convex),
        ),
        tuple(vertices),
        tuple(flows),
        tuple(links),
        limits=tuple(limits),
        objective=(ObjectiveTerm(Quantity(CostMetric.PERIOD)),),
        together=together,
    )


@settings(max_examples=120, deadline=None)
@given(hubs())
def test_a_proved_pipeline_is_what_enumeration_finds(problem):
    found, best = best_pipeline(problem), oracle.best(problem)
    if best is None:
        assert found is None
        return
    assert found.proved
    assert found.period_s == pytest.approx(best)


@settings(max_examples=80, deadline=None)
@given(st.booleans().flatmap(hubs))
def test_accelerators_around_a_hub_are_solved_as_enumeration_does(problem):
    result, best = solve(problem), oracle.best(problem)
    if best is None:
        assert result.status is SolveStatus.INFEASIBLE
    else:
        assert result.objective == pytest.approx(best, abs=1e-7)
        assert result.bound == pytest.approx(best, rel=1e-4, abs=1e-6)


@settings(max_examples=80, deadline=None)
@given(hubs())
def test_contraction_loses_no_optimum(problem):
    weightless = [
        replace(v, options=tuple(replace(o, seconds=0.0) for o in v.options)) if v.name == "u0" else v
        for v in problem.vertices
    ]
    problem = replace(problem, vertices=tuple(weightless))
    smaller = merge_costless_units(problem)
    assert oracle.best(smaller) == oracle.best(problem)


def test_a_unit_that_costs_nothing_stays_with_its_only_reader():
    problem = problem_with_a_weight(seconds=0.0)
    assert merge_costless_units(problem).together == ((0, 1),)
    assert merge_costless_units(problem_with_a_weight(seconds=0.1)).together == ()
    full = replace(problem, limits=(Limit(Quantity(CostMetric.MEMORY, 0), 5),))
    assert merge_costless_units(full).together == ()


def problem_with_a_weight(seconds: float) -> PlacementProblem:
    way = WireForm("float", 0, 1, (1.0, 1.0), (((), (0,)), ((1,), ())))
    return PlacementProblem(
        (Device("a"), Device("b")),
        (
            Vertex(
                "weight",
                (Option(0, seconds=seconds, weight_bytes=7), Option(1, seconds=seconds, weight_bytes=7)),
            ),
            Vertex("conv", (Option(0, seconds=1.0), Option(1, seconds=2.0))),
        ),
        (Flow("w", 0, (1,), (way,)),),
        (Link("a-b", 0, 1), Link("b-a", 1, 0)),
    )


def test_accelerators_are_alike_and_their_hub_is_not():
    problem = next(p for p in [small_hub()])
    assert are_interchangeable(problem, 0, 1)
    assert not are_interchangeable(problem, 0, 2)
    faster = replace(problem.vertices[0], options=(Option(0, seconds=1.0), *problem.vertices[0].options[1:]))
    assert not are_interchangeable(replace(problem, vertices=(faster, *problem.vertices[1:])), 0, 1)
    limited = replace(problem, limits=(Limit(Quantity(CostMetric.MEMORY, 0), 5),))
    assert not are_interchangeable(limited, 0, 1)
    assert not are_interchangeable(with_visits(problem, [2, 1, 1]), 0, 1)


def small_hub() -> PlacementProblem:
    links = tuple(Link(f"{a}-{b}", a, b) for a, b in ((0, 2), (1, 2), (2, 0), (2, 1)))
    routes = (((), (0, 3), (0,)), ((1, 2), (), (1,)), ((2,), (3,), ()))
    units = tuple(Vertex(f"u{i}", tuple(Option(d, seconds=2.0) for d in range(3))) for i in range(3))
    flows = tuple(
        Flow(f"t{i}", i, (i + 1,), (WireForm("float", 0, 1, (1.0,) * 4, routes),)) for i in range(2)
    )
    devices = (Device("a", transfers_block=True), Device("b", transfers_block=True), Device("hub"))
    return PlacementProblem(
        devices, units, flows, links, objective=(ObjectiveTerm(Quantity(CostMetric.PERIOD)),)
    )


@settings(max_examples=100, deadline=None)
@given(st.booleans().flatmap(hubs))
def test_windows_leave_every_plan_of_the_period(problem):
    best = oracle.best(problem)
    if best is None:
        return
    for factor in (1.0, 1.2):
        kept = feasible_options(problem, best * factor)
        for choice in oracle.choices(problem):
            cost = oracle.price(problem, choice)
            ordered = _in_order(problem, choice)
            if oracle.feasible(problem, cost) and cost.period <= best * factor and ordered:
                assert all(o in row for o, row in zip(choice.options, kept, strict=True))


def _in_order(problem, choice) -> bool:
    """Return whether alike accelerators run in the order in which they are listed."""
    where = [v.options[o].device for v, o in zip(problem.vertices, choice.options, strict=True)]
    hub = len(problem.devices) - 1
    reach = {(flow.producer, v) for flow in problem.flows for v in flow.consumers}
    for w, u, v in itertools.product(range(len(where)), repeat=3):
        if (u, w) in reach and (w, v) in reach:
            reach.add((u, v))
    return all(where[u] <= where[v] for u, v in reach if hub not in (where[u], where[v]))


def test_windows_narrow_a_chain():
    problem = small_hub()
    assert [len(row) for row in feasible_options(problem, 2.0)] == [2, 3, 2]


@st.composite
def linked(draw) -> PlacementProblem:
    """Devices in a row whose links, shared by longer routes, are loads of their own."""
    units, count = draw(st.integers(1, 5)), draw(st.integers(2, 3))
    small = st.integers(0, 9).map(float)
    links = tuple(
        Link(f"{a}-{b}", a, b) for a, b in itertools.permutations(range(count), 2) if abs(a - b) == 1
    )
    routes = tuple(tuple(_along_row(links, a, b) for b in range(count)) for a in range(count))
    precisions = draw(st.integers(1, 2)) if units <= 4 else 1
    vertices = [
        Vertex(
            f"u{u}",
            tuple(
                Option(d, seconds=draw(small), noise_power=float(p), weight_bytes=draw(small))
                for d in range(count)
                for p in range(precisions)
            ),
        )
        for u in range(units)
    ]
    flows = [
        Flow(
            f"t{u}", u, tuple(sorted(readers)),
            (WireForm("float", 0, 1, tuple(draw(small) for _ in links), routes),),
        )
        for u in range(units - 1)
        if (readers := draw(st.sets(st.integers(u + 1, units - 1))))
    ]  # fmt: skip
    room, noise = draw(st.none() | st.integers(5, 30)), draw(st.none() | st.integers(0, 3))
    limits = [Limit(Quantity(CostMetric.MEMORY, d), room) for d in range(count) if room is not None]
    limits += [Limit(Quantity(CostMetric.NOISE), noise)] if noise is not None else []
    blocking = draw(st.integers(-1, count - 1))
    devices = tuple(Device(f"d{d}", draw(small), transfers_block=d == blocking) for d in range(count))
    problem = PlacementProblem(
        devices, tuple(vertices), tuple(flows), links,
        limits=tuple(limits), objective=(ObjectiveTerm(PERIOD),),
    )  # fmt: skip
    return with_visits(problem, [2, *[1] * (count - 1)]) if count == 2 and draw(st.booleans()) else problem


def _along_row(links, a: int, b: int) -> tuple[int, ...]:
    step = 1 if b > a else -1
    hops = [(d, d + step) for d in range(a, b, step)]
    return tuple([(link.source, link.target) for link in links].index(hop) for hop in hops)


@settings(max_examples=150, deadline=None)
@given(linked())
def test_a_pipeline_over_links_is_feasible_and_its_bound_holds(problem):
    found, best = best_pipeline(problem), oracle.best(problem)
    if best is None:
        assert found is None
    elif found is not None:
        cost = oracle.price(problem, found.choice)
        assert oracle.feasible(problem, cost)
        assert cost.period == pytest.approx(found.period_s)
        assert found.bound_s <= best * (1 + 1e-9)
        assert not found.proved or found.period_s == pytest.approx(best)


@settings(max_examples=60, deadline=None)
@given(linked())
def test_a_period_over_links_is_solved_as_enumeration_does(problem):
    result, best = solve(problem), oracle.best(problem)
    if best is None:
        assert result.status is SolveStatus.INFEASIBLE
    else:
        assert result.objective == pytest.approx(best, abs=1e-7)


def chain_over_links() -> PlacementProblem:
    """Four units on two devices: the cut of equal work has a tensor that takes long."""
    routes = (((), (0,)), ((1,), ()))
    vertices = tuple(Vertex(f"u{u}", (Option(0, seconds=2.0), Option(1, seconds=2.0))) for u in range(4))
    flows = tuple(
        Flow(f"t{u}", u, (u + 1,), (WireForm("float", 0, 1, (seconds,) * 2, routes),))
        for u, seconds in enumerate((1.0, 9.0, 5.0))
    )
    links = (Link("0-1", 0, 1), Link("1-0", 1, 0))
    return PlacementProblem(
        (Device("a"), Device("b")), vertices, flows, links, objective=(ObjectiveTerm(PERIOD),)
    )


def test_a_chain_is_cut_where_its_tensor_and_its_work_are_short():
    found = best_pipeline(chain_over_links())
    assert (found.period_s, found.bound_s, found.proved) == (6.0, 6.0, True)
