from dataclasses import replace
from itertools import chain, combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_problems import direct, mesh
from strategies import problems

import planner.solver.pipeline.pipeline_ideals
from planner.problem.devices import Device
from planner.problem.placement_problem import PlacementProblem
from planner.problem.tensors import Flow
from planner.problem.units import Option, Vertex
from planner.solver.pipeline.pipeline_ideals import finished_sets

UNITS = 6


def problem_of(edges, together=()) -> PlacementProblem:
    form = direct("float", 0, ((0.0,),))
    return PlacementProblem(
        (Device("d"),),
        tuple(Vertex(f"u{v}", (Option(0),)) for v in range(UNITS)),
        tuple(Flow(f"t{a}_{b}", a, (b,), (form,)) for a, b in edges),
        mesh(1),
        together=together,
    )


def brute_force(edges, together, units) -> set[frozenset[int]]:
    """Return every set of units that has what its units need, and all or none of each group."""
    every = chain.from_iterable(combinations(units, n) for n in range(len(units) + 1))
    return {
        frozenset(ideal)
        for ideal in every
        if all(a in ideal or b not in ideal for a, b in edges)
        and all(len({v in ideal for v in group}) == 1 for group in together)
    }


def as_sets(done: np.ndarray, units: list[int]) -> list[frozenset[int]]:
    return [frozenset(v for v, inside in zip(units, row, strict=True) if inside) for row in done]


PAIRS = st.lists(
    st.tuples(st.integers(0, UNITS - 1), st.integers(0, UNITS - 1)).filter(lambda pair: pair[0] < pair[1]),
    unique=True,
)
GROUPS = st.lists(st.lists(st.integers(0, UNITS - 1), min_size=2, max_size=3, unique=True), max_size=2)


@settings(max_examples=80, deadline=None)
@given(PAIRS, GROUPS)
def test_all_sets_that_can_be_finished_are_found_each_after_its_parts(edges, groups):
    together = tuple(map(tuple, groups))
    units = list(range(UNITS))
    sets = finished_sets(problem_of(edges, together))
    done, is_complete = sets.members, sets.are_all
    found = as_sets(done, units)
    assert is_complete
    assert len(set(found)) == len(found)
    assert set(found) == brute_force(edges, together, units)
    assert not any(later < earlier for earlier, later in combinations(found, 2))
    assert (found[0], found[-1]) == (frozenset(), frozenset(units))


@settings(max_examples=40, deadline=None)
@given(PAIRS, st.integers(1, 12))
def test_with_too_many_some_are_found_that_lead_from_nothing_to_all(edges, most):
    units = list(range(UNITS))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planner.solver.pipeline.pipeline_ideals, "_MOST_IDEALS", most)
        sets = finished_sets(problem_of(edges))
    done, is_complete = sets.members, sets.are_all
    found, every = as_sets(done, units), brute_force(edges, (), units)
    assert is_complete == (len(every) <= most)
    assert set(found) <= every
    assert {frozenset(), frozenset(units)} <= set(found)


@settings(max_examples=30, deadline=None)
@given(problems(max_units=5))
def test_sources_and_sinks_are_in_no_set(problem):
    problem = replace(problem, together=())
    units = [v for v, vertex in enumerate(problem.vertices) if not vertex.is_terminal]
    edges = [
        (flow.producer, v)
        for flow in problem.flows
        for v in flow.consumers
        if {flow.producer, v} <= set(units)
    ]
    sets = finished_sets(problem)
    assert sets.units == units
    done = sets.members
    assert set(as_sets(done, units)) == brute_force(edges, (), units)
