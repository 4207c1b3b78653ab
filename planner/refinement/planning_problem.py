"""What is to be solved for a scenario, given the current costs."""

from collections.abc import Mapping
from dataclasses import dataclass

from planner.conversion.provenance import ConvertedFrom
from planner.costs.device_costs import DeviceCosts
from planner.costs.formulation import formulate
from planner.costs.noise_saturation import NoiseModel
from planner.costs.whole_model import WholeModelPredictor, single_device_scenario
from planner.devices.calibration_choices import CalibrationChoice
from planner.devices.tried_precisions import TriedPrecision
from planner.plan.configuration import Configuration
from planner.problem.cost_evaluation import Cost
from planner.problem.device_visits import by_device
from planner.problem.placement_problem import PlacementProblem
from planner.scenario.schema import Scenario
from profiling.graph.operator_graph import OperatorGraph
from profiling.quantization.qdq_model import Scheme


@dataclass(frozen=True, slots=True)
class PlanningProblem:
    """What was asked of the solver, and the measured costs behind it.

    Parameters
    ----------
    schemes
        Device name -> its quantization scheme.
    samples
        Hash of the calibration samples.
    costs
        Device name -> its costs.
    noise_model
        How their summed noise becomes noise.
    converted_from
        What the model was, if it was no ONNX file.
    tried_precisions
        What `precisions: auto` tried.
    calibration_choices
        What the samples chose of what the scenario leaves to them.
    """

    scenario: Scenario
    graph: OperatorGraph
    schemes: Mapping[str, Scheme]
    samples: str
    costs: Mapping[str, DeviceCosts]
    noise_model: NoiseModel
    converted_from: ConvertedFrom | None = None
    tried_precisions: tuple[TriedPrecision, ...] = ()
    calibration_choices: tuple[CalibrationChoice, ...] = ()

    def formulate(self) -> PlacementProblem:
        """Return the question as numbers."""
        return formulate(self.scenario, self.graph, self.costs)

    def ratio_to_fp32(self, chosen: Configuration, device: str) -> float | None:
        """Return predicted seconds of the whole mixed model on a device over those of the fp32 model.

        None where the device's profile lacks a precision of the mix, which the device does not use itself.
        """
        alone = single_device_scenario(self.scenario, self.scenario.device(device))
        whole = WholeModelPredictor(alone, self.graph, self.costs).ratio_to_fp32(chosen.mix)
        if whole is None:
            return None
        costs = self.costs[device]
        return whole + sum(costs.coding_s(*wire, self.graph) for wire in chosen.wires) / (costs.fp32_s or 1.0)

    def chain_ratio_to_fp32(self, problem: PlacementProblem, cost: Cost) -> float:
        """Return predicted seconds of all stages, each over those of the fp32 model on its device."""
        pairs = by_device(problem, cost.busy_s).items()
        return sum(seconds / (self.costs[device].fp32_s or 1.0) for device, seconds in pairs)

    @property
    def quantization(self) -> dict[str, str]:
        """Device name -> label of its scheme."""
        return {name: scheme.label for name, scheme in self.schemes.items()}
