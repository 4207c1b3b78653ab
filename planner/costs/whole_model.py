"""Predicts the whole mixed-precision model on one device, to be compared with a run of it."""

from collections.abc import Mapping

from planner.costs.device_costs import DeviceCosts
from planner.costs.formulation import formulate
from planner.problem.cost_evaluation import Cost, evaluate
from planner.problem.placement_problem import Choice
from planner.problem.units import Vertex
from planner.scenario.device_schema import DeviceSpec
from planner.scenario.schema import PlacementSpec, Scenario
from profiling.graph.operator_graph import OperatorGraph
from profiling.precision import Precision


def single_device_scenario(scenario: Scenario, device: DeviceSpec) -> Scenario:
    """Return the scenario with everything on one device, in any precision that was measured."""
    return scenario.model_copy(
        update={
            "devices": (device.model_copy(update={"precisions": None, "visits": 1}),),
            "links": (),
            "placement": PlacementSpec(),
            "wires": (),
            "source": device.name,
            "sink": device.name,
            "precisions": scenario.measured_precisions,
        }
    )


def _option_in(vertex: Vertex, precision: Precision) -> int:
    """Return the option in a precision, or in fp32 where the device's runtime has no other."""
    precisions = [option.precision for option in vertex.options]
    return precisions.index(precision if precision in precisions else Precision.FP32)


class WholeModelPredictor:
    """The whole model on one device.

    Parameters
    ----------
    alone
        From `single_device_scenario`.
    """

    def __init__(self, alone: Scenario, graph: OperatorGraph, costs: Mapping[str, DeviceCosts]) -> None:
        self._graph = graph
        self._problem = formulate(alone, graph, costs)
        self._fp32_s = costs[alone.source].fp32_s

    def cost(self, mix: Mapping[int, Precision]) -> Cost:
        """Return the predicted cost with some units quantized.

        Parameters
        ----------
        mix
            Precisions of units that can be quantized; `OperatorGraph.resolve_precisions` says which then are.
        """
        resolved = self._graph.resolve_precisions(mix)
        choice = [
            _option_in(vertex, resolved.get(index, Precision.FP32))
            for index, vertex in enumerate(self._problem.vertices)
        ]
        return evaluate(self._problem, Choice(tuple(choice)))

    def ratio_to_fp32(self, mix: Mapping[int, Precision]) -> float:
        """Return the predicted seconds over the measured ones of the fp32 model."""
        return self.cost(mix).latency_s / self._fp32_s if self._fp32_s else 1.0
