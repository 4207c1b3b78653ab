"""What the costs say of the whole mixed-precision model on one device, to be compared with a run of it."""

from collections.abc import Mapping, Sequence

from planner.evaluate import Cost, evaluate
from planner.formulate import DeviceCosts, formulate
from planner.scenario import DeviceSpec, Scenario
from profiling.graph import ModelGraph
from profiling.profile import Precision


def alone_on(scenario: Scenario, device: DeviceSpec) -> Scenario:
    """Return the scenario with everything on one device, in any precision."""
    return scenario.model_copy(
        update={
            "devices": (device.model_copy(update={"precisions": None}),),
            "links": (),
            "source": device.name,
            "sink": device.name,
            "precisions": (Precision.FP32, Precision.INT8),
        }
    )


def predict_whole(
    alone: Scenario, graph: ModelGraph, costs: Mapping[str, DeviceCosts], int8: Sequence[bool]
) -> Cost:
    """Return the predicted cost of running the whole model with some units in int8.

    Parameters
    ----------
    alone
        From `alone_on`.
    int8
        By unit index; whoever cannot be quantized must not be. Units join that the runtime would
        compute in int8 among these.
    """
    absorbed = graph.absorbed([index for index, wanted in enumerate(int8) if wanted])
    problem = formulate(alone, graph, costs).problem
    choice = [
        next(place for place, option in enumerate(vertex.options) if option.int8 == (index in absorbed))
        for index, vertex in enumerate(problem.vertices)
    ]
    return evaluate(problem, choice)
