"""Planning again with the costs of an earlier plan: nothing is profiled or timed."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from planner.costs.device_profiles import check_profile
from planner.deployment.build import planned_configuration
from planner.devices.runtime import measured_devices
from planner.errors import OutputError
from planner.inputs.prepared_scenario import Prepared
from planner.plan.configuration import choice_of
from planner.plan.plan_record import Plan
from planner.problem.cost_evaluation import evaluate, is_feasible
from planner.refinement.closed_loop import cost_error_after, formulate_and_solve
from planner.refinement.loop_state import LoopState, SolvedPlan
from planner.refinement.measured_scenario import MeasuredScenario
from planner.refinement.noise_limit_search import rounds_of
from planner.refinement.ties import margin_of, resolution_of
from planner.solver.result import OPTIMAL_GAP, replace_choice
from profiling.errors import ProfileError
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
        latency = {}
        for device in measured_devices(prepared.scenario):
            if device.name not in self.profiles:
                raise ProfileError(f"{self.name}: its costs lack the device {device.name}")
            profile = self.profiles[device.name].latency
            check_profile(f"{self.name}: profile.json", profile, prepared.scenario, device, prepared.subject)
            label = prepared.schemes[device.name].label
            if profile.scheme != label:
                raise ProfileError(
                    f"{self.name}: {device.name} was quantized with {profile.scheme}, here with {label}"
                )
            latency[device.name] = profile
        return latency


def plan_again(measured: MeasuredScenario, fixed: FixedCosts) -> tuple[LoopState, SolvedPlan]:
    """Solve under the costs of an earlier plan; where that plan is still as good, it is the plan.

    It was the best of those that were timed, which another one is only predicted to be better than, by no
    more than the gap that it had.
    """
    state, solved = formulate_and_solve(measured, LoopState(measured.latency))
    result, free = solved.found.result, solved.found.unconstrained.problem
    if result.choice is None or result.objective is None:
        return state, solved
    before = choice_of(free, planned_configuration(measured.prepared, fixed.plan))
    if before is None or before == result.choice:
        return state, solved
    cost = evaluate(free, before)
    gap = max(fixed.plan.objective.gap or 0.0, OPTIMAL_GAP)
    margin = margin_of(free, cost, resolution_of(cost_error_after(measured, state)))
    at_most = result.objective / (1 - gap) + margin
    if not is_feasible(free, cost) or cost.objective > at_most:
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
