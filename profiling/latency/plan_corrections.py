"""A plan's own models correct the profile: what units, switches and cuts cost there replaces expectations."""

from dataclasses import replace

from profiling.latency.plan_costs import PlanCosts, plan_costs
from profiling.latency.plan_timing import PlanTiming
from profiling.latency.stage_costs import Sides, boundary_costs, fitted_to_stages, start_of_stages_s
from profiling.precision import Precision
from profiling.records.profile import LatencyProfile, SeamCost, SwitchCost, UnitCost


def apply_corrections(
    profile: LatencyProfile, timing: PlanTiming, uncorrected: LatencyProfile | None = None
) -> LatencyProfile:
    """Return a profile under which the plan costs what it was measured to cost, relative to fp32.

    A unit far from switches takes the seconds that it had in the plan. Beside a switch it keeps its own,
    and what it lost there belongs to the switch. What a stage took beyond its units and switches belongs to
    its cuts, in equal parts. What it took less, its units did, and those of other stages more; what all
    stages together took less, their starts did. Costs that the plan does not have stay.

    Parameters
    ----------
    uncorrected
        The profile before plans corrected it, if some did: it says what units lose beside a switch, so that
        what the plan costs does not depend on plans that were timed before.
    """
    scale = profile.wall_s[Precision.FP32] / timing.fp32_s
    expected = (uncorrected or profile).spread_rest()  # as the solver takes it
    start_s = start_of_stages_s(expected, timing, scale, profile.start_s)
    profile = profile.spread_rest().with_start(start_s)
    costs = plan_costs(expected, timing, scale, start_s)
    costs = fitted_to_stages(timing, costs, scale, start_s)
    leave_s, enter_s = boundary_costs(timing, costs, scale, start_s)
    return replace(
        profile,
        units=_corrected_units(profile, timing, costs),
        switches=_corrected_switches(profile, timing, costs),
        seams=_corrected_seams(profile, leave_s, enter_s),
    )


def _corrected_units(profile: LatencyProfile, timing: PlanTiming, costs: PlanCosts) -> tuple[UnitCost, ...]:
    seconds = {
        (timing.units[index].name, timing.precision_of(index)): unit_s
        for index, unit_s in costs.units.items()
    }
    return tuple(
        replace(row, seconds=seconds.get((row.unit, row.precision), row.seconds)) for row in profile.units
    )


def _corrected_switches(
    profile: LatencyProfile, timing: PlanTiming, costs: PlanCosts
) -> tuple[SwitchCost, ...]:
    seconds = {
        (timing.switches[switch.tensor].name, Precision(switch.source), Precision(switch.to)): switch_s
        for switch, switch_s in costs.switches.items()
    }
    return tuple(
        replace(
            row,
            seconds=seconds.get((row.tensor, row.source, row.to), row.seconds),
            measured=row.measured or (row.tensor, row.source, row.to) in seconds,
        )
        for row in profile.switches
    )


def _corrected_seams(profile: LatencyProfile, leave_s: Sides, enter_s: Sides) -> tuple[SeamCost, ...]:
    measured = {*leave_s, *enter_s}
    return tuple(
        replace(
            row,
            leave_s=leave_s.get((row.tensor, row.form), row.leave_s),
            enter_s=enter_s.get((row.tensor, row.form), row.enter_s),
            measured=row.measured or (row.tensor, row.form) in measured,
        )
        for row in profile.seams
    )
