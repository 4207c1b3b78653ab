from dataclasses import replace

import pytest
from small_problems import direct, mesh

from planner.problem.devices import Device
from planner.problem.placement_problem import PlacementProblem
from planner.problem.tensors import Flow
from planner.problem.units import Option, Vertex
from planner.solver.presolve.stage_windows import feasible_options


def chain(units: int, devices: int, seconds: float = 1.0) -> PlacementProblem:
    """A chain of like units on like devices."""
    free = tuple((0.0,) * devices for _ in range(devices))
    vertices = tuple(
        Vertex(f"u{n}", tuple(Option(d, seconds=seconds) for d in range(devices))) for n in range(units)
    )
    flows = tuple(Flow(f"t{n}", n, (n + 1,), (direct("float", 0, free),)) for n in range(units - 1))
    return PlacementProblem(tuple(Device(f"d{d}") for d in range(devices)), vertices, flows, mesh(devices))


def test_a_tight_period_leaves_each_unit_of_a_chain_its_stage():
    assert feasible_options(chain(4, 2), 2.0) == [(0,), (0,), (1,), (1,)]
    assert feasible_options(chain(6, 3), 2.0) == [(0,), (0,), (1,), (1,), (2,), (2,)]


def test_a_loose_period_leaves_everything():
    assert feasible_options(chain(4, 2), 4.0) == [(0, 1)] * 4


@pytest.mark.parametrize(
    ("period", "windows"),
    [(3.0, [(0,), (0, 1), (0, 1), (1,)]), (2.5, [(0,), (0,), (1,), (1,)])],
)
def test_between_them_the_ends_are_bound_first(period, windows):
    assert feasible_options(chain(4, 2), period) == windows


def test_an_option_longer_than_the_period_goes():
    problem = chain(2, 2)
    slow = replace(problem.vertices[0], options=(Option(0, seconds=1.0), Option(1, seconds=9.0)))
    problem = replace(problem, vertices=(slow, problem.vertices[1]))
    assert feasible_options(problem, 3.0)[0] == (0,)


def test_another_device_may_take_some_of_the_work():
    """A third device, twice as fast, takes two of the four units in a period of one, whichever they are."""
    problem = chain(4, 3)
    fast = [replace(v, options=(*v.options[:2], Option(2, seconds=0.5))) for v in problem.vertices]
    problem = replace(problem, vertices=tuple(fast))
    assert feasible_options(problem, 2.0) == [(0, 1, 2)] * 4
    assert feasible_options(problem, 1.0) == [(0, 2), (0, 1, 2), (0, 1, 2), (1, 2)]


def test_source_and_sink_keep_their_place():
    problem = chain(2, 2)
    ends = (*problem.vertices, Vertex("sink", (Option(0),), is_terminal=True))
    assert feasible_options(replace(problem, vertices=ends), 1.0)[2] == (0,)
