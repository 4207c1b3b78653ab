from dataclasses import replace

from planner.problem.devices import Device
from planner.problem.placement_problem import PlacementProblem
from planner.problem.tensors import Flow, WireForm
from planner.problem.units import Option, Vertex
from planner.solver.heuristics.nearby_options import nearby_options

FORM = WireForm("float", 0, 1.0, (), (((), None, None), (None, (), None), (None, None, ())))
OPTIONS = tuple(
    Option(device, seconds=1.0, precision=precision) for device in range(3) for precision in ("fp32", "int8")
)


def chain(units: int) -> PlacementProblem:
    return PlacementProblem(
        tuple(Device(name) for name in "abc"),
        tuple(Vertex(f"u{u}", OPTIONS) for u in range(units)),
        tuple(Flow(f"t{u}", u, (u + 1,), (FORM,)) for u in range(units - 1)),
    )


def test_without_a_hop_a_unit_keeps_its_device_in_any_precision():
    assert nearby_options(chain(3), [(0, 2, 5)], 0) == [(0, 1), (2, 3), (4, 5)]


def test_with_each_hop_the_ends_of_stages_move_one_unit_farther():
    plan = (0, 0, 0, 4, 4)
    one, two = (nearby_options(chain(5), [plan], hops) for hops in (1, 2))
    assert one == [(0, 1), (0, 1), (0, 1, 4, 5), (0, 1, 4, 5), (4, 5)]
    assert two == [(0, 1), *[(0, 1, 4, 5)] * 4]


def test_several_plans_give_all_their_devices():
    assert nearby_options(chain(2), [(0, 0), (2, 5)], 0) == [(0, 1, 2, 3), (0, 1, 4, 5)]


def test_a_source_is_no_neighbour():
    problem = chain(3)
    source = replace(problem.vertices[1], is_terminal=True)
    fenced = replace(problem, vertices=(problem.vertices[0], source, problem.vertices[2]))
    assert nearby_options(fenced, [(0, 2, 4)], 2)[0] == (0, 1)
