"""Where every unit runs and in which precision, in names."""

from dataclasses import dataclass

from planner.problem.cost_evaluation import evaluate
from planner.problem.placement_problem import Choice, PlacementProblem
from planner.problem.tensors import Flow
from planner.problem.units import Option, Vertex
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


def choice_of(problem: PlacementProblem, configuration: Configuration) -> Choice | None:
    """Return the choice that a configuration stands for.

    None if the problem lacks one of its options or wires, or a device is returned to, so that several
    choices may be meant.
    """
    wanted = iter(zip(configuration.devices, configuration.precisions, strict=True))
    options = [
        0 if vertex.is_terminal else _option_number(problem, vertex, *next(wanted))
        for vertex in problem.vertices
    ]
    wires = dict(configuration.wires)
    forms = [_wire_number(flow, wires.get(flow.name)) for flow in problem.flows]
    if None in options or None in forms:
        return None
    numbers = tuple(form or 0 for form in forms)
    choice = Choice(tuple(option or 0 for option in options), numbers if any(numbers) else ())
    return choice if configuration_of(problem, choice) == configuration else None


def _option_number(
    problem: PlacementProblem, vertex: Vertex, device: str, precision: Precision
) -> int | None:
    found = [
        number
        for number, option in enumerate(vertex.options)
        if option.precision == precision
        and problem.devices[problem.physical_device(option.device)].name == device
    ]
    return found[0] if len(found) == 1 else None


def _wire_number(flow: Flow, wire: Wire | None) -> int | None:
    if wire is None:
        return 0
    return next((number for number in flow.wires if flow.forms[number].name == wire), None)


def unit_options(problem: PlacementProblem, choice: Choice) -> list[Option]:
    """Return the option of each unit."""
    pairs = zip(problem.vertices, choice.options, strict=True)
    return [vertex.options[o] for vertex, o in pairs if not vertex.is_terminal]
