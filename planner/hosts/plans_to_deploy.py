"""What is deployed together: one plan, the plans that a comparison holds, or none, to measure links."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from planner.errors import OutputError
from planner.hosts.routing import spec_of
from planner.output.comparison_folder import (
    COMPARISON,
    FLEET,
    PLANS,
    RunnablePlan,
    RunnableSet,
    read_plan_set,
)
from planner.output.plan_folder import read_folder
from planner.plan.bandwidth_ranges import FACTOR, BandwidthRange, FollowedLinks, PlanCosts
from planner.plan.manifest import PlanStages
from planner.plan.plan_record import Plan, WireFormat
from planner.plan.requests_record import RawInput
from planner.scenario.link_schema import LinkSpec
from planner.scenario.loader import dump_scenario, load_scenario, parse_scenario
from planner.scenario.schema import Scenario


@dataclass(frozen=True, slots=True)
class PlanToDeploy:
    """A plan, and when it is meant to run; `range` is of the links that are followed, if any are."""

    name: str
    stages: PlanStages
    costs: PlanCosts
    range: BandwidthRange


@dataclass(frozen=True, slots=True)
class PlansToDeploy:
    """Plans whose stages lie in one folder, in the order of the bandwidths that they are for.

    Parameters
    ----------
    scenario_text
        The scenario as JSON.
    followed
        None unless there are several plans.
    """

    folder: Path
    plans: tuple[PlanToDeploy, ...]
    scenario: Scenario
    scenario_text: bytes
    followed: FollowedLinks | None = None


def read_plans(folder: Path) -> PlansToDeploy:
    """Return the plan of a plan folder, the plans that a comparison holds, or none of a scenario's file.

    Raises
    ------
    OutputError
        If the folder is neither, or a model is missing or changed.
    ScenarioError
        If it is a file, and no scenario.
    """
    if folder.is_file():
        scenario = load_scenario(folder)
        return PlansToDeploy(folder.parent, (), scenario, dump_scenario(scenario).encode())
    if (folder / FLEET).is_file():
        raise OutputError(f"{folder}: holds plans for a fleet; compare one class's scenario and deploy that")
    if (folder / PLANS).is_file() or (folder / COMPARISON).is_file():
        return _of_comparison(folder)
    plan, manifest = read_folder(folder)
    text = bytes(plan.scenario)
    only = PlanToDeploy(folder.resolve().name, manifest, _costs_of(plan, folder), BandwidthRange())
    return PlansToDeploy(folder, (only,), parse_scenario(text), text)


def raw_inputs(plans: Sequence[PlanToDeploy]) -> tuple[RawInput, ...]:
    """Return the inputs that plans let cross as they arose: hosts send them as the model wants them."""
    found: dict[str, RawInput] = {}
    for plan in plans:
        sizes = {port.name: spec_of(port).size_bytes for port in plan.stages.inputs}
        for cut in plan.stages.cuts:
            if cut.wire is WireFormat.RAW:
                found[cut.tensor] = RawInput(
                    tensor=cut.tensor, counted_bytes=cut.size_bytes, sent_bytes=sizes[cut.tensor]
                )
    return tuple(found.values())


def _costs_of(plan: Plan, folder: Path) -> PlanCosts:
    if plan.predicted is None:
        raise OutputError(f"{folder}: says not what the plan costs; plan again")
    return PlanCosts(
        fixed_s=plan.predicted.latency_s,
        compute_s=plan.predicted.compute_s,
        throughput_per_s=plan.predicted.throughput_per_s,
    )


def _of_comparison(folder: Path) -> PlansToDeploy:
    held = read_plan_set(folder)
    text = bytes(held.scenario)
    scenario = parse_scenario(text)
    name = folder.resolve().name
    plans = tuple(
        PlanToDeploy(f"{name}-{one.plan}", held.stages_of(one), _held_costs(one), _range(one))
        for one in held.plans
    )
    return PlansToDeploy(folder, plans, scenario, text, _followed(held, scenario, folder))


def _held_costs(plan: RunnablePlan) -> PlanCosts:
    return PlanCosts(fixed_s=plan.fixed_s, link_s=plan.link_s, compute_s=plan.compute_s)


def _range(plan: RunnablePlan) -> BandwidthRange:
    return BandwidthRange(
        low=plan.low, high=plan.high, leave_below=plan.leave_below, leave_above=plan.leave_above
    )


def _followed(held: RunnableSet, scenario: Scenario, folder: Path) -> FollowedLinks:
    links = [link for link in scenario.links if link.name in held.links]
    if not links:
        raise OutputError(f"{folder / PLANS}: its links are not those of its scenario; compare again")
    return FollowedLinks(
        links=tuple((link.source, link.target) for link in links),
        unit=held.unit,
        own=_own_bandwidth(links, held.unit),
        low=held.compared_from,
        high=held.compared_to,
    )


def _own_bandwidth(links: Sequence[LinkSpec], unit: str) -> float:
    return 1.0 if unit == FACTOR else min(link.bandwidth_mbit_per_s for link in links)
