"""Where every unit runs and in which precision, in names."""

from dataclasses import dataclass

from planner.problem.cost_evaluation import evaluate
from planner.problem.placement_problem import Choice, PlacementProblem
from planner.problem.units import Option
from profiling.precision import Precision, Wire


@dataclass(frozen=True, slots=True)
class Configuration:
    """What a plan's models follow from: each unit's device and precision, and wires of float tensors."""

    devices: tuple[str, ...]
    precisions: tuple[Precision, ...]
    wires: tuple[tuple[str, Wire], ...] = ()

    @property
    def mix(self) -> dict[int, Precision]:
        """Unit -> precision, of the quantized units."""
        return {
            u: precision for u, precision in enumerate(self.precisions) if precision is not Precision.FP32
        }

    @property
    def is_exact(self) -> bool:
        """Whether the plan is the fp32 model in parts: nothing is rounded, on no device and on no link."""
        return not self.mix and not self.wires


def configuration_of(problem: PlacementProblem, choice: Choice) -> Configuration:
    """Return what a choice says in names."""
    options = unit_options(problem, choice)
    crossings = [(problem.flows[c.flow], c.form) for c in evaluate(problem, choice).crossings]
    # All crossings of a tensor take one form.
    wires = {flow.name: Wire(flow.forms[form].name) for flow, form in crossings if form in flow.wires}
    return Configuration(
        tuple(problem.devices[problem.physical_device(option.device)].name for option in options),
        tuple(Precision(option.precision) for option in options),
        tuple(wires.items()),
    )


def unit_options(problem: PlacementProblem, choice: Choice) -> list[Option]:
    """Return the option of each unit."""
    pairs = zip(problem.vertices, choice.options, strict=True)
    return [vertex.options[o] for vertex, o in pairs if not vertex.is_terminal]
