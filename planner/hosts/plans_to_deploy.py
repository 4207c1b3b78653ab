"""What is deployed together: one plan, the plans that a comparison holds, or none, to measure links."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from planner.comparison.fleet.class_scenario import class_scenario
from planner.comparison.fleet.fleet_records import FleetRule
from planner.errors import OutputError, UsageError
from planner.hosts.routing import spec_of
from planner.output.comparison_folder import (
    COMPARISON,
    RunnableFleet,
    RunnablePlan,
    RunnableSet,
    held_stages,
    read_fleet,
    read_plan_set,
)
from planner.output.record_files import FLEET, PLANS
from planner.output.saved_plan import read_folder
from planner.plan.bandwidth_ranges import FACTOR, BandwidthRange, FollowedLinks, PlanCosts
from planner.plan.manifest import PlanStages
from planner.plan.plan_record import Plan, WireFormat
from planner.plan.requests_record import RawInput
from planner.scenario.link_schema import LinkSpec
from planner.scenario.loader import dump_scenario, load_scenario, parse_scenario
from planner.scenario.schema import Scenario

_MBIT_PER_S = "Mbit/s"


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


@dataclass(frozen=True, slots=True)
class Selection:
    """Which of the plans that a comparison holds; without either all of them.

    Parameters
    ----------
    device_class
        Of the fleet that it holds plans for.
    plan
        Number of the only plan that is wanted.
    """

    device_class: str | None = None
    plan: int | None = None


ALL_PLANS = Selection()


def read_plans(folder: Path, which: Selection = ALL_PLANS) -> PlansToDeploy:
    """Return the plan of a plan folder, the plans that a comparison holds, or none of a scenario's file.

    Raises
    ------
    OutputError
        If the folder is neither, or a model is missing or changed, or it lacks the plan.
    UsageError
        If a class is named and there is no fleet, or none and there is one; or a plan is named of what
        holds no several.
    ScenarioError
        If it is a file, and no scenario; or the fleet has no plan for the class.
    """
    device_class, plan = which.device_class, which.plan
    if (folder / FLEET).is_file():
        if plan is not None:
            raise UsageError(f"--plan {plan}: {folder} holds plans for a fleet: its rule picks, by --class")
        return _of_fleet(folder, device_class)
    if device_class is not None:
        raise UsageError(f"--class: {folder} holds no plans for a fleet; leave it out")
    is_comparison = (folder / PLANS).is_file() or (folder / COMPARISON).is_file()
    if plan is not None and not is_comparison:
        raise UsageError(f"--plan {plan}: {folder} is no comparison that holds several plans: leave it out")
    if folder.is_file():
        scenario = load_scenario(folder)
        return PlansToDeploy(folder.parent, (), scenario, dump_scenario(scenario).encode())
    if is_comparison:
        return _of_comparison(folder) if plan is None else _one_of_comparison(folder, plan)
    record, manifest = read_folder(folder)
    text = bytes(record.scenario)
    only = PlanToDeploy(folder.resolve().name, manifest, _costs_of(record, folder), BandwidthRange())
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


def _one_of_comparison(folder: Path, number: int) -> PlansToDeploy:
    """Return one of the plans that a comparison holds, at the scenario's own bandwidths."""
    held_stages(folder, number)  # says which plans there are
    held, several = read_plan_set(folder), _of_comparison(folder)
    (one,) = (plan for plan, known in zip(several.plans, held.plans, strict=True) if known.plan == number)
    latency_s = one.costs.latency_s(several.followed.own if several.followed is not None else None)
    costs = PlanCosts(fixed_s=latency_s or one.costs.fixed_s, compute_s=one.costs.compute_s)
    alone = PlanToDeploy(one.name, one.stages, costs, BandwidthRange())
    return PlansToDeploy(folder, (alone,), several.scenario, several.scenario_text)


def _of_fleet(folder: Path, device_class: str | None) -> PlansToDeploy:
    """Return the plans that the rule picks for a class, and its scenario."""
    fleet = read_fleet(folder)
    if device_class is None:
        first = fleet.rule[0].device_class if fleet.rule else "NAME"
        raise UsageError(
            f"{folder} holds plans for classes of {fleet.device}; say for which one: "
            f"plan deploy {shlex.quote(str(folder))} --class {shlex.quote(first)} --out deploy"
        )
    rule = fleet.rule_of(device_class)
    whole = parse_scenario(bytes(fleet.scenario))
    scenario = class_scenario(whole, device_class)
    plans = {plan.plan: plan for plan in fleet.plans}
    name = f"{folder.resolve().name}-{device_class}"
    together = tuple(
        PlanToDeploy(
            f"{name}-{one.plan}", fleet.stages_of(plans[one.plan]), _class_costs(one, folder), one_range
        )
        for one, one_range in zip(rule, _without_gaps(rule), strict=True)
    )
    text = dump_scenario(scenario).encode()
    classes = whole.fleet.classes if whole.fleet is not None else ()
    bandwidths = [b.mbit_per_s for one in classes if one.name == device_class for b in one.bandwidths]
    followed = _followed_by_class(fleet, scenario, bandwidths) if bandwidths else None
    return PlansToDeploy(folder, together, scenario, text, followed)


def _class_costs(one: FleetRule, folder: Path) -> PlanCosts:
    if one.costs is None:
        raise OutputError(f"{folder / FLEET}: says not what plan {one.plan} costs; compare again")
    return one.costs


def _without_gaps(rule: Sequence[FleetRule]) -> list[BandwidthRange]:
    """Return where each plan runs: everywhere one does, also where none keeps its limits.

    More bandwidth breaks no limit: so a gap belongs to the plan before it.
    """
    lows = [None, *(one.low for one in rule[1:])]
    return [
        BandwidthRange(low=low, high=high, leave_below=low, leave_above=high)
        for low, high in zip(lows, [*lows[1:], None], strict=True)
    ]


def _followed_by_class(
    fleet: RunnableFleet, scenario: Scenario, bandwidths: Sequence[float]
) -> FollowedLinks:
    """Return the links that take a class's bandwidths."""
    links = [link for link in scenario.links if link.name in fleet.links]
    return FollowedLinks(
        links=tuple((link.source, link.target) for link in links),
        unit=_MBIT_PER_S,
        own=_own_bandwidth(links, _MBIT_PER_S),
        low=min(bandwidths),
        high=max(bandwidths),
    )


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
