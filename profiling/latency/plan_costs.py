"""From a plan's timed kernels to what its units, switches and wires cost inside its whole model."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from profiling.latency.plan_timing import PlanTiming
from profiling.on_device.conversion_costs import Conversion, conversions_of
from profiling.on_device.kernels import SWITCH_KINDS, WIRE_KINDS, OwnerKind
from profiling.records.profile import LatencyProfile


@dataclass(frozen=True, slots=True)
class PlanCosts:
    """Seconds of what a plan consists of, inside its whole model, at the pace of the profile.

    Parameters
    ----------
    units
        By index.
    wires
        `ENCODE` and `DECODE` -> tensor by index -> seconds.
    """

    units: Mapping[int, float]
    switches: Mapping[Conversion, float]
    wires: Mapping[OwnerKind, Mapping[int, float]]

    def by_owner(self) -> dict[OwnerKind, Mapping[int, float]]:
        """Return kind of owner -> index -> seconds."""
        switches = {
            kind: {switch.tensor: s for switch, s in self.switches.items() if switch.direction is kind}
            for kind in SWITCH_KINDS
        }
        return {OwnerKind.UNIT: self.units, **switches, **self.wires}

    @property
    def total_s(self) -> float:
        """Seconds of all of them."""
        return sum(sum(seconds.values()) for seconds in self.by_owner().values())


def plan_costs(profile: LatencyProfile, timing: PlanTiming, scale: float, start_s: float) -> PlanCosts:
    """Return what a plan's kernels say that its parts cost, together its whole model's seconds.

    Parameters
    ----------
    profile
        What it expects of a unit says what the unit lost beside a switch.
    scale
        Seconds of the profile over those of the timing.
    start_s
        What a run takes whatever the model, at the pace of the profile.
    """
    kernels = timing.plan.kernels.scaled(scale)
    conversions = conversions_of(timing.switches, timing.mix)
    touched = Counter(unit for beside in conversions.values() for unit in beside)
    expected = {(row.unit, row.precision): row.seconds for row in profile.units}
    shown = kernels.of(OwnerKind.UNIT)
    # A unit that happens to be faster beside a switch lost nothing there: no switch costs less than nothing.
    lost = {
        index: max(0.0, shown.get(index, 0.0) - expected[unit.name, timing.precision_of(index)])
        if touched[index]
        else 0.0
        for index, unit in enumerate(timing.units)
    }
    units = {index: shown.get(index, 0.0) - loss for index, loss in lost.items()}
    switch_kernels = {kind: kernels.of(kind) for kind in SWITCH_KINDS}
    switches = {
        switch: switch_kernels[switch.direction].get(switch.tensor, 0.0)
        + sum(lost[unit] / touched[unit] for unit in beside)
        for switch, beside in conversions.items()
    }
    wires = {kind: kernels.of(kind) for kind in WIRE_KINDS}
    # What no unit, switch or wire accounts for is spread over all of the plan's costs.
    total = sum(units.values()) + sum(switches.values())
    on_wires = sum(sum(seconds.values()) for seconds in wires.values())
    whole_s = max(0.0, timing.plan.wall_s * scale - start_s - on_wires)
    if not total and units:  # all were too short for the profiler's clock, which counts microseconds
        return PlanCosts(dict.fromkeys(units, whole_s / len(units)), switches, wires)
    stretch = whole_s / total if total else 1.0
    return PlanCosts(
        {index: seconds * stretch for index, seconds in units.items()},
        {switch: seconds * stretch for switch, seconds in switches.items()},
        wires,
    )
