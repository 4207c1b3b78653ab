"""From a plan's timed stages to a run's start, to what their units cost apart, and to what its cuts cost."""

from dataclasses import replace
from typing import NamedTuple

from profiling.latency.plan_costs import PlanCosts, plan_costs
from profiling.latency.plan_timing import PlanTiming
from profiling.on_device.cost_fits import measured_cuts, stage_seconds
from profiling.precision import Precision
from profiling.records.profile import LatencyProfile

Sides = dict[tuple[str, Precision], float]


class _CutStage(NamedTuple):
    """A stage of the profile's device that is cut.

    Parameters
    ----------
    units
        By index.
    seconds
        Measured, at the pace of the profile.
    inside_s
        Of its units, switches and wires inside the whole model.
    cuts
        Tensors at which it is cut, by index.
    """

    units: tuple[int, ...]
    seconds: float
    inside_s: float
    cuts: tuple[int, ...]

    def slack_s(self, start_s: float) -> float:
        """Return the seconds that neither its start nor what is inside of it accounts for."""
        return self.seconds - start_s - self.inside_s


def _cut_stages(timing: PlanTiming, costs: PlanCosts, scale: float) -> list[_CutStage]:
    """Return the stages that say something of the profile: what other devices take is in their own."""
    units = [stage.units for stage in timing.stages]
    inside_s = stage_seconds(timing.switches, units, costs.by_owner())
    cuts = measured_cuts(timing.switches, units)
    return [
        _CutStage(stage.units, stage.seconds * scale, own_s, tuple(own_cuts))
        for stage, own_s, own_cuts in zip(timing.stages, inside_s, cuts, strict=True)
        if stage.profiled_here and stage.units and own_cuts
    ]


def start_of_stages_s(expected: LatencyProfile, timing: PlanTiming, scale: float, known_s: float) -> float:
    """Return what a run's start takes, at most as in the profile: each stage has one, the whole model one.

    It is at most half of what the plan takes. Stages show that it is shorter where they took less than a
    standard error below what they can with it; those that only convert have no part in the whole model.

    Parameters
    ----------
    known_s
        What plans that were timed before showed, which holds where the stages show nothing.
    """
    most_s = timing.plan.wall_s * scale / 2
    start_s = min(expected.start_s, most_s)
    costs = plan_costs(expected, timing, scale, start_s)
    stages = _cut_stages(timing, costs, scale)
    if not stages[1:] or not all(stage.units for stage in timing.stages):
        return min(known_s, most_s)
    error_s = timing.standard_error * sum(stage.seconds for stage in stages)
    shorter_s = -sum(stage.slack_s(start_s) for stage in stages) - error_s
    # What a start takes less, the units of the whole model take more.
    share = sum(stage.inside_s for stage in stages) / costs.total_s if costs.total_s else 0.0
    return max(0.0, start_s - max(0.0, shorter_s) / (len(stages) - share))


def fitted_to_stages(timing: PlanTiming, costs: PlanCosts, scale: float, start_s: float) -> PlanCosts:
    """Return costs of which units have less where their stage took less, and the others more.

    No cut costs less than nothing. All units together keep their seconds, which are those of the whole
    model: units of stages that took more have more first, then those of which no stage is known. Units of a
    stage keep half of their own at least.
    """
    own_s = {
        stage: seconds
        for stage in _cut_stages(timing, costs, scale)
        if (seconds := sum(costs.units[unit] for unit in stage.units)) > 0
    }
    changes_s = {stage: max(stage.slack_s(start_s), -seconds / 2) for stage, seconds in own_s.items()}
    less_s = -sum(min(0.0, change_s) for change_s in changes_s.values())
    more_s = sum(max(0.0, change_s) for change_s in changes_s.values())
    known = {unit for stage in own_s for unit in stage.units}
    others_s = sum(seconds for unit, seconds in costs.units.items() if unit not in known)
    to_stages_s = min(less_s, more_s)
    to_others_s = less_s - to_stages_s if others_s > 0 else 0.0
    factors = dict.fromkeys(costs.units, 1 + to_others_s / others_s if others_s > 0 else 1.0)
    for stage, change_s in changes_s.items():
        taken_s, of_s = (to_stages_s + to_others_s, less_s) if change_s < 0 else (to_stages_s, more_s)
        part = taken_s / of_s if of_s else 0.0
        factors |= dict.fromkeys(stage.units, 1 + change_s * part / own_s[stage])
    return replace(costs, units={unit: seconds * factors[unit] for unit, seconds in costs.units.items()})


def boundary_costs(timing: PlanTiming, costs: PlanCosts, scale: float, start_s: float) -> tuple[Sides, Sides]:
    """Return (tensor, precision) -> seconds of the stages that end there, and of those that begin there."""
    leave: Sides = {}
    enter: Sides = {}
    for stage in _cut_stages(timing, costs, scale):
        share = max(0.0, stage.slack_s(start_s)) / len(stage.cuts)
        for tensor in (timing.switches[index] for index in stage.cuts):
            side = leave if tensor.producer in stage.units else enter
            key = tensor.name, Precision(tensor.precision_in(timing.mix))
            # Of two stages that read it, none costs less than seen.
            side[key] = max(share, side.get(key, 0.0))
    return leave, enter
