"""Predicts the whole mixed-precision model on one device, to be compared with a run of it."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import product

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

    Its profile may lack seconds of units in precisions that the device itself does not use.

    Parameters
    ----------
    alone
        From `single_device_scenario`.
    """

    def __init__(self, alone: Scenario, graph: OperatorGraph, costs: Mapping[str, DeviceCosts]) -> None:
        own = costs[alone.source]
        pairs = product([unit.name for unit in graph.units], alone.measured_precisions)
        # Noise is known without seconds; `ratio_to_fp32` says nothing where any of these would count.
        seconds = dict.fromkeys(pairs, 0.0) | dict(own.units)
        self._graph, self._known = graph, own.units
        self._problem = formulate(alone, graph, {alone.source: replace(own, units=seconds)})
        self._fp32_s = own.fp32_s

    def cost(self, mix: Mapping[int, Precision]) -> Cost:
        """Return the predicted cost with some units quantized; seconds that the profile lacks are left out.

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

    def ratio_to_fp32(self, mix: Mapping[int, Precision]) -> float | None:
        """Return the predicted seconds over those of the fp32 model; None where the profile lacks some."""
        resolved = self._graph.resolve_precisions(mix)
        pairs = ((unit.name, resolved.get(unit.index, Precision.FP32)) for unit in self._graph.units)
        if any(pair not in self._known for pair in pairs):
            return None
        return self.cost(mix).latency_s / self._fp32_s if self._fp32_s else 1.0
