"""Peak memory of a device: its weights, and the activations of the largest unit of each model on it."""

from collections import defaultdict
from collections.abc import Sequence

from planner.problem.placement_problem import PlacementProblem
from planner.problem.units import Option


def memory_bytes(problem: PlacementProblem, chosen: Sequence[Option]) -> tuple[float, ...]:
    """Return bytes per device: all weights, and inputs and outputs of each model's largest unit.

    Parameters
    ----------
    chosen
        Vertex -> its option; those of further visits count with their device.
    """
    memory = [0.0] * len(problem.devices)
    # Of each model's stages: a stage keeps the memory that its largest unit needs.
    largest_activation: dict[tuple[int, int], float] = defaultdict(float)
    for option in chosen:
        physical, model = problem.physical_device(option.device), problem.devices[option.device].model
        memory[physical] += option.weight_bytes
        largest = largest_activation[physical, model]
        largest_activation[physical, model] = max(largest, option.activation_bytes)
    for (device, _), size in largest_activation.items():
        memory[device] += size
    return tuple(memory)
