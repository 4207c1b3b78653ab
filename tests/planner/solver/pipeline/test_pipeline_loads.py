"""What stages load, beside enumeration: exactly that, or as a bound never more than any plan."""

import itertools
from dataclasses import replace
from math import inf

import oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_problems import direct, mesh
from strategies import problems

from planner.problem.devices import Device, Link
from planner.problem.placement_problem import PlacementProblem
from planner.problem.quantities import CostMetric, Limit, Quantity
from planner.problem.tensors import Flow, WireForm
from planner.problem.units import Option, Vertex
from planner.solver.pipeline.pipeline_ideals import finished_sets
from planner.solver.pipeline.pipeline_loads import Pricing, StageLoads

SECONDS = st.integers(0, 9).map(float)


@st.composite
def stars(draw) -> PlacementProblem:
    """Two accelerators that transfers block, each with a link of its own seconds to and from a processor."""
    units, hub = draw(st.integers(1, 3)), 2
    links = (Link("0-hub", 0, hub), Link("1-hub", 1, hub), Link("hub-0", hub, 0), Link("hub-1", hub, 1))
    routes = tuple(
        tuple(
            () if a == b else (*((a,) if a < hub else ()), *((hub + b,) if b < hub else ())) for b in range(3)
        )
        for a in range(3)
    )
    vertices = [Vertex(f"u{u}", tuple(draw(_options()))) for u in range(units)]
    source, sink = units, units + 1
    flows = []
    for producer in (*range(units), source):
        later = range(0 if producer == source else producer + 1, units)
        readers = sorted(draw(st.sets(st.sampled_from(later)))) if later else []
        readers += [sink] if producer != source and draw(st.booleans()) else []
        if readers:
            link_s = tuple(draw(SECONDS) for _ in links)
            form = WireForm("float", 0, 1, link_s, routes)
            flows.append(Flow(f"t{producer}", producer, tuple(readers), (form,)))
    ends = [Vertex(name, (Option(draw(st.integers(0, 2))),), is_terminal=True) for name in ("source", "sink")]
    return PlacementProblem(
        (*(Device(f"a{a}", draw(SECONDS), transfers_block=True) for a in range(2)), Device("hub")),
        (*vertices, *ends),
        tuple(flows),
        links,
        limits=(Limit(Quantity(CostMetric.MEMORY, 0), draw(st.integers(0, 30))),),
    )


@st.composite
def _options(draw) -> list[Option]:
    """Draw at most one option per device, and one at least."""
    devices = sorted(draw(st.sets(st.integers(0, 2), min_size=1)))
    return [Option(d, seconds=draw(SECONDS), weight_bytes=draw(st.integers(0, 9))) for d in devices]


def loads_of(problem: PlacementProblem, pricing: Pricing) -> StageLoads:
    sets = finished_sets(problem)
    return StageLoads(problem, sets.units, sets.members, pricing)


def ideals_of(loads: StageLoads) -> dict[frozenset[int], int]:
    """Return set of finished units -> its row."""
    return {
        frozenset(v for v, inside in zip(loads.units, row, strict=True) if inside): number
        for number, row in enumerate(loads.done)
    }


def stages_of(problem: PlacementProblem, choice) -> dict[int, frozenset[int]]:
    """Return device -> the units on it, of the devices that have any."""
    on: dict[int, set[int]] = {}
    for v, (vertex, option) in enumerate(zip(problem.vertices, choice.options, strict=True)):
        if not vertex.is_terminal:
            on.setdefault(vertex.options[option].device, set()).add(v)
    return {device: frozenset(units) for device, units in on.items()}


def rows_of_stages(problem: PlacementProblem, choice, ideals):
    """Yield the devices of a choice in each order in which they can be stages between ideals."""
    stages = stages_of(problem, choice)
    for order in itertools.permutations(stages):
        ends = [frozenset().union(*(stages[d] for d in order[:n])) for n in range(len(order) + 1)]
        if all(end in ideals for end in ends):
            yield list(order), [ideals[end] for end in ends]


def in_stages(problem: PlacementProblem) -> PlacementProblem:
    """Return the problem with a stage per device, at most."""
    return replace(problem, devices=tuple(replace(device, contiguous=True) for device in problem.devices))


@settings(max_examples=100, deadline=None)
@given(stars())
def test_a_stage_loads_its_device_with_what_enumeration_says_of_a_plan_with_it(problem):
    loads = loads_of(problem, Pricing())
    ideals = ideals_of(loads)
    on_devices = [loads.device_load(device) for device in range(3)]
    at_most = problem.limits[0].at_most
    ends_at = {vertex.options[0].device for vertex in problem.vertices if vertex.is_terminal}
    for choice in oracle.choices(problem):
        price = oracle.price(problem, choice)
        for order, ends in rows_of_stages(problem, choice, ideals):
            for device, first, last in zip(order, ends, ends[1:], strict=False):
                fits = device != 0 or price.memory[0] <= at_most
                expected = price.loads[device] if fits else inf
                load = on_devices[device][first, last]
                if device in ends_at:  # what the source sends and the sink gets there is of no stage
                    assert load <= expected
                else:
                    assert load == pytest.approx(expected)


@settings(max_examples=60, deadline=None)
@given(stars())
def test_no_stage_lies_between_sets_that_are_no_parts_or_where_a_unit_cannot_run(problem):
    loads = loads_of(problem, Pricing())
    ideals = ideals_of(loads)
    usable = [{o.device for o in vertex.options} for vertex in problem.vertices]
    for device in range(3):
        load = loads.device_load(device)
        for (first, i), (last, j) in itertools.product(ideals.items(), repeat=2):
            if first == last:
                assert load[i, j] == 0
            elif not first < last or any(device not in usable[v] for v in last - first):
                assert load[i, j] == inf


@settings(max_examples=100, deadline=None)
@given(stars())
def test_between_two_stages_the_busiest_link_carries_what_enumeration_says(problem):
    terminals = {v for v, vertex in enumerate(problem.vertices) if vertex.is_terminal}
    flows = [
        replace(flow, consumers=tuple(v for v in flow.consumers if v not in terminals))
        for flow in problem.flows
        if flow.producer not in terminals
    ]
    problem = replace(problem, flows=tuple(flow for flow in flows if flow.consumers))
    loads = loads_of(problem, Pricing())
    ideals = ideals_of(loads)
    for choice in oracle.choices(problem):
        price = oracle.price(problem, choice)
        for order, ends in rows_of_stages(problem, choice, ideals):
            if len(order) == 2:
                assert loads.link_load(*order)[ends[1]] == pytest.approx(max(price.loads[3:]))


@settings(max_examples=120, deadline=None)
@given(problems(max_units=3, extras=False))
def test_a_bound_is_never_above_what_any_plan_loads(problem):
    problem = in_stages(problem)
    loads = loads_of(problem, Pricing(is_bound=True))
    ideals, count = ideals_of(loads), len(problem.devices)
    on_devices = [loads.device_load(device) for device in range(count)]
    on_links = {pair: loads.link_load(*pair) for pair in itertools.permutations(range(count), 2)}
    for choice in oracle.choices(problem):
        price = oracle.price(problem, choice)
        if not price.ordered or price.latency == inf:
            continue
        for order, ends in rows_of_stages(problem, choice, ideals):
            for device, first, last in zip(order, ends, ends[1:], strict=False):
                limit = problem.tightest_limit(CostMetric.MEMORY, device)
                if price.memory[device] <= limit:
                    assert on_devices[device][first, last] <= price.loads[device] + 1e-12
            for pair, end in zip(itertools.pairwise(order), ends[1:-1], strict=True):
                assert on_links[pair][end] <= max(price.loads[count:], default=0.0) + 1e-12


def choosable(*options: tuple[float, float]) -> PlacementProblem:
    vertex = Vertex("u", tuple(Option(0, 0, seconds, noise) for seconds, noise in options))
    return PlacementProblem((Device("d"), Device("e")), (vertex,), (), ())


def test_the_dearer_noise_is_the_quieter_and_slower_is_the_option_that_counts():
    problem = choosable((1.0, 0.8), (2.0, 0.2), (4.0, 0.1))
    seconds = [Pricing(price).option(problem, 0, 0).seconds for price in (0.0, 1.0, 2.0, 19.0, 21.0, inf)]
    # 0.6 less noise for 1 s more: worth it from 1.67 s per noise on; 0.1 less for 2 s: from 20 on.
    assert seconds == [1.0, 1.0, 2.0, 2.0, 4.0, 4.0]
    assert Pricing().option(problem, 0, 1) is None


def test_of_options_that_are_as_quiet_the_quickest_counts_where_only_noise_does():
    assert Pricing(inf).option(choosable((3.0, 0.1), (2.0, 0.1), (1.0, 0.5)), 0, 0).seconds == 2.0


def three_units(*edges: tuple[int, int]) -> PlacementProblem:
    """Three units with a tensor for each edge; each link at its own seconds."""
    options = tuple(Option(d, q, 2.0 - q, 0.1 * q, weight_bytes=8 - 6 * q) for d in range(3) for q in (0, 1))
    seconds = tuple(tuple(0.0 if a == b else 1.0 + 3 * a + b for b in range(3)) for a in range(3))
    flows = (Flow(f"{a}-{b}", a, (b,), (direct("float", 0, seconds),)) for a, b in edges)
    return PlacementProblem(
        tuple(Device(name) for name in "abc"),
        tuple(Vertex(f"u{u}", options) for u in range(3)),
        tuple(flows),
        mesh(3),
        limits=(Limit(Quantity(CostMetric.MEMORY, 0), 4),),
    )


@pytest.mark.parametrize(
    ("edges", "done", "sure_s", "all_s"),
    [
        # From b to c is 6 s per tensor. What the first unit made may have come to c from a, a stage before.
        (((0, 1), (1, 2), (0, 2)), {0, 1}, 6.0, 12.0),
        (((0, 2), (1, 2)), {0, 1}, 0.0, 12.0),  # either of both may be in the stage before the last
        (((0, 1), (0, 2)), {0}, 0.0, 12.0),  # either reader may be in the stage behind the next
        (((0, 1),), {0, 1}, 0.0, 0.0),
    ],
)
def test_a_bound_counts_only_the_tensors_that_surely_cross_and_a_plan_all_of_a_cut(
    edges, done, sure_s, all_s
):
    for is_bound, seconds in ((True, sure_s), (False, all_s)):
        loads = loads_of(three_units(*edges), Pricing(is_bound=is_bound))
        assert loads.link_load(1, 2)[ideals_of(loads)[frozenset(done)]] == seconds


def test_a_bound_takes_the_least_seconds_and_the_least_weights_though_no_option_has_both():
    problem = three_units((0, 1), (1, 2))
    slow = Vertex("u0", (Option(0, seconds=1.0, weight_bytes=8), Option(0, 1, 3.0)))
    problem = replace(problem, vertices=(slow, *problem.vertices[1:]))
    of_first = {}
    for is_bound in (True, False):
        loads = loads_of(problem, Pricing(is_bound=is_bound))
        ideals = ideals_of(loads)
        of_first[is_bound] = loads.device_load(0)[ideals[frozenset()], ideals[frozenset({0})]]
    assert of_first == {True: 1.0, False: inf}
