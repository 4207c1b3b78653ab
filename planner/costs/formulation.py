"""Scenario, graph and measured costs -> PlacementProblem: everything becomes numbers here."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from planner.costs.device_costs import DeviceCosts
from planner.costs.resource_budgets import limits_of
from planner.costs.tensor_flows import TensorFlows
from planner.costs.tensor_formats import TensorFormats
from planner.costs.unit_options import UnitOptions
from planner.problem.cost_evaluation import evaluate
from planner.problem.device_visits import with_visits
from planner.problem.devices import Device, Link
from planner.problem.placement_problem import Choice, PlacementProblem
from planner.problem.quantities import CostMetric, Limit, ObjectiveTerm, Quantity
from planner.problem.several_models import JointProblem, ModelPart, join_models
from planner.problem.units import Vertex
from planner.scenario.budget_schema import ObjectiveSpec
from planner.scenario.schema import Scenario
from planner.scenario.several_models import SeveralModels
from profiling.graph.operator_graph import OperatorGraph
from profiling.precision import Precision

_METRICS = {metric.value: metric for metric in CostMetric} | {"throughput": CostMetric.PERIOD}
_HOUR_S = 3600.0


def formulate(
    scenario: Scenario,
    graph: OperatorGraph,
    costs: Mapping[str, DeviceCosts],
) -> PlacementProblem:
    """Return the problem of placing a graph, without a noise budget.

    Vertex i < len(graph.units) is unit i; then come the source and the sink.

    Parameters
    ----------
    costs
        Device name -> its costs; every device of the scenario.

    Raises
    ------
    ScenarioError
        If the placement matches no unit, contradicts itself, or leaves a unit no option.
    ProfileError
        If a profile lacks a unit's seconds.
    """
    formats = TensorFormats.of(scenario, costs)
    units = UnitOptions(scenario, graph, costs, formats)
    tensors = TensorFlows(scenario, graph, costs, formats)
    names = [device.name for device in scenario.devices]
    problem = PlacementProblem(
        devices=tuple(
            Device(
                device.name,
                start_s=costs[device.name].start_s,
                active_w=device.active_watt or 0.0,
                idle_w=device.idle_watt,
                price_per_s=device.price_per_hour / _HOUR_S,
                transfers_block=device.transfers_block,
            )
            for device in scenario.devices
        ),
        vertices=units.vertices(),
        flows=tensors.flows(),
        links=tuple(
            Link(
                link.name,
                names.index(link.source),
                names.index(link.target),
                link.price_per_byte,
            )
            for link in scenario.links
        ),
        formats=formats.formats(),
        limits=tuple(limits_of(scenario)),
        together=tuple(units.group(patterns) for patterns in scenario.placement.together),
        apart=tuple(units.pairs_apart()),
    )
    # Before the objective, whose reference needs the devices as they are solved for.
    problem = with_visits(problem, [device.visits for device in scenario.devices])
    return replace(problem, objective=_objective(scenario, problem, fp32_at_source(scenario, problem)))


def formulate_several(several: SeveralModels, problems: Sequence[PlacementProblem]) -> JointProblem:
    """Return the problem of placing several models at once, without noise budgets.

    Parameters
    ----------
    problems
        Of each model alone, from `formulate`.
    """
    parts = [
        ModelPart(one.name, one.share, problem) for one, problem in zip(several.models, problems, strict=True)
    ]
    limits = list(limits_of(several.shared))
    if several.requests_per_s is not None:
        limits.append(Limit(Quantity(CostMetric.PERIOD), several.utilisation / several.requests_per_s))
    joint = join_models(parts, limits)
    pairs = zip(several.models, problems, strict=True)
    reference = joint.joined([fp32_at_source(one.scenario, problem) for one, problem in pairs])
    objective = _objective(several.shared, joint.problem, reference)
    return replace(joint, problem=replace(joint.problem, objective=objective))


def fp32_at_source(scenario: Scenario, problem: PlacementProblem) -> Choice:
    """Return the choice of everything in fp32 at the source, as far as units can be so."""
    source = next(i for i, device in enumerate(problem.devices) if device.name == scenario.source)
    at_source = [min(range(len(v.options)), key=partial(_distance, v, source)) for v in problem.vertices]
    return Choice(tuple(at_source))


def _distance(vertex: Vertex, source: int, option: int) -> tuple[bool, bool, bool]:
    """Return how far an option is from fp32 at the source: less is closer."""
    one = vertex.options[option]
    return one.device != source, one.quantized, one.precision not in {"", Precision.FP32}


def _objective(
    scenario: Scenario, problem: PlacementProblem, reference_choice: Choice
) -> tuple[ObjectiveTerm, ...]:
    """Return the objective; a weighted sum is relative to everything in fp32 at the source."""
    spec = scenario.objective
    if not isinstance(spec, ObjectiveSpec):
        return (ObjectiveTerm(Quantity(_METRICS[spec])),)
    reference = evaluate(problem, reference_choice)
    weights = [(Quantity(_METRICS[name]), weight) for name, weight in spec if weight]
    return tuple(
        ObjectiveTerm(quantity, weight / (reference.value(quantity) or 1.0)) for quantity, weight in weights
    )
