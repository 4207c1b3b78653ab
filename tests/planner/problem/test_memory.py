from planner.problem.devices import Device
from planner.problem.memory import memory_bytes
from planner.problem.placement_problem import PlacementProblem
from planner.problem.units import Option, Vertex

DEVICES = (
    Device("a"),
    Device("b"),
    Device("a again", visit_of=0),
    Device("a of another model", visit_of=0, model=1),
)


def memory(*options: Option) -> tuple[float, ...]:
    vertices = tuple(
        Vertex(f"u{index}", (option,), model=DEVICES[option.device].model)
        for index, option in enumerate(options)
    )
    return memory_bytes(PlacementProblem(DEVICES, vertices, ()), options)


def option(device: int, weights: float, activation: float) -> Option:
    return Option(device, weight_bytes=weights, activation_bytes=activation)


def test_all_weights_count_and_the_largest_activation():
    assert memory(option(0, 100, 7), option(0, 20, 9), option(1, 3, 5)) == (129, 8, 0, 0)


def test_visits_of_a_device_share_its_memory():
    assert memory(option(0, 100, 7), option(2, 20, 9)) == (129, 0, 0, 0)


def test_models_on_a_device_each_keep_the_activation_of_their_largest_unit():
    assert memory(option(0, 100, 7), option(3, 20, 9), option(3, 1, 2)) == (137, 0, 0, 0)
