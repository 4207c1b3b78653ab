"""Planning again with the costs of an earlier plan: nothing is profiled or timed."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

from planner.costs.device_profiles import check_profile
from planner.deployment.build import planned_configuration
from planner.devices.quantization_schemes import choose_schemes
from planner.devices.runtime import measured_devices, origin_of
from planner.devices.tried_precisions import TriedPrecision
from planner.errors import OutputError
from planner.inputs.prepared_scenario import Prepared
from planner.plan.configuration import configuration_of
from planner.plan.plan_record import Plan
from planner.problem.cost_evaluation import evaluate, is_feasible
from planner.problem.placement_problem import Choice, PlacementProblem
from planner.problem.units import Vertex
from planner.refinement.closed_loop import cost_error_after, formulate_and_solve
from planner.refinement.loop_state import LoopState, SolvedPlan
from planner.refinement.measured_scenario import MeasuredScenario
from planner.refinement.noise_limit_search import rounds_of
from planner.refinement.ties import margin_of, resolution_of
from planner.scenario.loader import dump_scenario, parse_scenario
from planner.scenario.schema import Scenario
from planner.solver.result import OPTIMAL_GAP, replace_choice
from planner.solver.solve import solve
from profiling.errors import ProfileError
from profiling.precision import Precision
from profiling.quantization.qdq_model import SCHEMES, Scheme
from profiling.records.profile import LatencyProfile, Profile


@dataclass(frozen=True, slots=True)
class FixedCosts:
    """A saved plan, and the costs under which it was found.

    Parameters
    ----------
    name
        What messages call it: its folder or file.
    profiles
        Device -> its profile as the plan's own run corrected it.
    """

    name: str
    plan: Plan
    profiles: Mapping[str, Profile]

    def with_precisions(self, scenario: Scenario) -> Scenario:
        """Return a scenario that names no precisions with those that were found for the plan; others as is.

        What a device names itself, it keeps.
        """
        if isinstance(scenario.precisions, tuple):
            return scenario
        before = parse_scenario(bytes(self.plan.scenario))
        found = {device.name: device.precisions for device in before.devices}
        named = {precision for device in scenario.devices for precision in device.precisions or ()}
        named |= {precision for own in found.values() for precision in own or ()}
        wanted = named | set(before.offered_precisions)
        # What all devices are offered stays with the scenario: a plan of it is recognized by that.
        others = None if named <= set(before.offered_precisions) else before.offered_precisions
        own = {
            device.name: found[device.name] or others
            for device in scenario.devices
            if device.precisions is None and device.name in found
        }
        devices = tuple(
            device.model_copy(update={"precisions": precisions})
            if (precisions := own.get(device.name)) is not None
            else device
            for device in scenario.devices
        )
        precisions = tuple(p for p in scenario.offered_precisions if p in wanted)
        return scenario.model_copy(update={"precisions": precisions, "devices": devices})

    def schemes(self, scenario: Scenario) -> dict[str, Scheme]:
        """Return how devices quantize, in the layout in which they did in the plan.

        Those that it does not have take that in which the device was measured whose costs they take.

        Raises
        ------
        ProfileError
            As `choose_schemes`.
        """
        labels = {name: profile.latency.scheme for name, profile in self.profiles.items()}
        known = labels | dict(self.plan.quantization)
        schemes = {}
        for name, scheme in choose_schemes(scenario).items():
            origin, _ = origin_of(scenario, scenario.device(name))
            before = SCHEMES.get(known.get(name, known.get(origin.name, "")))
            schemes[name] = replace(scheme, blocked_layout=before is not None and before.blocked_layout)
        return schemes

    def tried_precisions(self, scenario: Scenario) -> tuple[TriedPrecision, ...]:
        """Return what was tried to find the precisions of a scenario that are tried out."""
        return self.plan.tried_precisions if scenario.tries_precisions else ()

    def of(self, prepared: Prepared) -> dict[str, LatencyProfile]:
        """Return device -> seconds, of the devices that are not scaled from others.

        Raises
        ------
        OutputError
            If no profile lies beside the plan.
        ProfileError
            If one is missing, of another model, or lacks what the scenario needs.
        """
        if not self.profiles:
            raise OutputError(f"{self.name}: there is no profile.json beside the plan")
        if self.plan.model_sha256 != prepared.models.graph.model_sha256:
            raise ProfileError(f"{self.name}: is a plan of another model")
        latency = {}
        for device in measured_devices(prepared.scenario):
            if device.name not in self.profiles:
                raise ProfileError(f"{self.name}: its costs lack the device {device.name}")
            profile = self.profiles[device.name].latency
            check_profile(f"{self.name}/profile.json", profile, prepared.scenario, device, prepared.subject)
            scheme, before = prepared.schemes[device.name].as_timed, SCHEMES.get(profile.scheme)
            # A table of costs names no scheme; in which layout float units compute changes no numbers.
            if profile.scheme and (before is None or before.as_rounded != scheme.as_rounded):
                raise ProfileError(
                    f"{self.name}: {device.name} was quantized with {profile.scheme}, here with "
                    f"{scheme.label}"
                )
            latency[device.name] = profile
        return latency


def plan_again(measured: MeasuredScenario, fixed: FixedCosts) -> tuple[LoopState, SolvedPlan]:
    """Solve under the costs of an earlier plan; where that plan is still as good, it is the plan.

    In the same scenario it is the plan in any case: it was the best of those that were timed, which another
    one is only predicted to be better than.
    """
    state, solved = formulate_and_solve(measured, LoopState(measured.latency))
    result, free = solved.found.result, solved.found.unconstrained.problem
    if result.choice is None or result.objective is None:
        return state, solved
    before = _earlier_choice(measured, fixed.plan, free)
    if before is None or before == result.choice:
        return state, solved
    cost = evaluate(free, before)
    margin = margin_of(free, cost, resolution_of(cost_error_after(measured, state)))
    is_as_good = cost.objective <= result.objective * (1 + OPTIMAL_GAP) + margin
    if not is_feasible(free, cost) or not (is_as_good or _is_of(fixed.plan, measured)):
        return state, solved
    keeps, search_state = measured.noise_limit_search.keeps(free, before, solved.found.state)
    if not keeps:
        return state, solved
    found = replace(
        solved.found,
        result=replace_choice(result, before, cost.objective),
        rounds=rounds_of(search_state, before),
        state=search_state,
    )
    return replace(state, search_state=search_state), replace(solved, found=found)


def _is_of(plan: Plan, measured: MeasuredScenario) -> bool:
    """Return whether a plan was made of the same scenario."""
    before, now = bytes(plan.scenario), dump_scenario(measured.scenario)
    return bool(json.loads(before) == json.loads(now))


def _earlier_choice(measured: MeasuredScenario, plan: Plan, problem: PlacementProblem) -> Choice | None:
    """Return the choice that a plan stands for; None if the problem has other devices, options or wires.

    A device that is returned to may stand for several choices: the cheapest is taken.
    """
    if not set(plan.devices().values()) <= {device.name for device in measured.scenario.devices}:
        return None
    configuration = planned_configuration(measured.prepared, plan)
    units = iter(zip(configuration.devices, configuration.precisions, strict=True))
    keep = [
        list(range(len(vertex.options))) if vertex.is_terminal else _options_of(problem, vertex, *next(units))
        for vertex in problem.vertices
    ]
    if not all(keep):
        return None
    choice = solve(problem.with_options(keep), measured.options).choice
    full = None if choice is None else choice.lift_to_full(keep)
    return full if full is not None and configuration_of(problem, full) == configuration else None


def _options_of(problem: PlacementProblem, vertex: Vertex, device: str, precision: Precision) -> list[int]:
    return [
        number
        for number, option in enumerate(vertex.options)
        if option.precision == precision
        and problem.devices[problem.physical_device(option.device)].name == device
    ]
