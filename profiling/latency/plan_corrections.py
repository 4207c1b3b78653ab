"""A plan's own models correct the profile: what units, switches and cuts cost there replaces expectations."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from profiling.on_device.conversion_costs import Conversion, conversions_of
from profiling.on_device.cost_fits import measured_cuts, stage_seconds
from profiling.on_device.kernels import SWITCH_KINDS, WIRE_KINDS, OwnerKind
from profiling.on_device.measured_record import Timed
from profiling.on_device.measurement_order import PlannedUnit, SwitchTensor
from profiling.precision import Precision
from profiling.records.profile import LatencyProfile, SeamCost, SwitchCost, UnitCost


@dataclass(frozen=True, slots=True)
class StageTime:
    """Seconds of one stage.

    Parameters
    ----------
    units
        By index; none in a stage that only switches an input or output.
    profiled_here
        Whether the stage's device takes its costs from the profile that is corrected.
    """

    units: tuple[int, ...]
    seconds: float
    profiled_here: bool = True


@dataclass(frozen=True, slots=True)
class PlanTiming:
    """A plan's whole model, the fp32 model and the plan's stages, timed in turn on one device.

    Parameters
    ----------
    units, switches
        The model's units, and its tensors that may change their precision, by index.
    mix
        Precisions of the plan's quantized units.
    fp32_s
        Seconds of the fp32 model.
    stages
        Empty if the plan is not cut.
    standard_error
        Of the seconds of its stages, or of the whole model, as a fraction of them.
    """

    units: Sequence[PlannedUnit]
    switches: Sequence[SwitchTensor]
    mix: Mapping[int, Precision]
    fp32_s: float
    plan: Timed
    stages: tuple[StageTime, ...] = ()
    standard_error: float = 0.0

    @property
    def ratio_to_fp32(self) -> float:
        """Seconds of the plan's model over those of the fp32 model."""
        return self.plan.wall_s / self.fp32_s

    @property
    def chain_ratio_to_fp32(self) -> float:
        """Seconds of the plan's stages, one after another, over those of the fp32 model."""
        if not self.stages:
            return self.ratio_to_fp32
        return sum(stage.seconds for stage in self.stages) / self.fp32_s

    def precision_of(self, unit: int) -> Precision:
        """Return what a unit computes in."""
        quantizable = self.units[unit].quantizable
        return self.mix.get(unit, Precision.FP32) if quantizable else Precision.FP32


@dataclass(frozen=True, slots=True)
class _PlanCosts:
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
    start_s = _start_seconds(expected, timing, scale)
    profile = profile.spread_rest().with_start(start_s)
    costs = _plan_costs(expected, timing, scale, start_s)
    costs = _fitted_to_stages(timing, costs, scale, start_s)
    leave_s, enter_s = _boundary_costs(timing, costs, scale, start_s)
    return replace(
        profile,
        units=_corrected_units(profile, timing, costs),
        switches=_corrected_switches(profile, timing, costs),
        seams=_corrected_seams(profile, leave_s, enter_s),
    )


def _plan_costs(profile: LatencyProfile, timing: PlanTiming, scale: float, start_s: float) -> _PlanCosts:
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
        return _PlanCosts(dict.fromkeys(units, whole_s / len(units)), switches, wires)
    stretch = whole_s / total if total else 1.0
    return _PlanCosts(
        {index: seconds * stretch for index, seconds in units.items()},
        {switch: seconds * stretch for switch, seconds in switches.items()},
        wires,
    )


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


def _cut_stages(timing: PlanTiming, costs: _PlanCosts, scale: float) -> list[_CutStage]:
    """Return the stages that say something of the profile: what other devices take is in their own."""
    units = [stage.units for stage in timing.stages]
    inside_s = stage_seconds(timing.switches, units, costs.by_owner())
    cuts = measured_cuts(timing.switches, units)
    return [
        _CutStage(stage.units, stage.seconds * scale, own_s, tuple(own_cuts))
        for stage, own_s, own_cuts in zip(timing.stages, inside_s, cuts, strict=True)
        if stage.profiled_here and stage.units and own_cuts
    ]


def _start_seconds(expected: LatencyProfile, timing: PlanTiming, scale: float) -> float:
    """Return what a run's start takes, at most as in the profile: each stage has one, the whole model one.

    It is at most half of what the plan takes. Stages show that it is shorter where they took less than a
    standard error below what they can with it; those that only convert have no part in the whole model.
    """
    start_s = min(expected.start_s, timing.plan.wall_s * scale / 2)
    costs = _plan_costs(expected, timing, scale, start_s)
    stages = _cut_stages(timing, costs, scale)
    if not stages[1:] or not all(stage.units for stage in timing.stages):
        return start_s
    error_s = timing.standard_error * sum(stage.seconds for stage in stages)
    shorter_s = -sum(stage.slack_s(start_s) for stage in stages) - error_s
    # What a start takes less, the units of the whole model take more.
    share = sum(stage.inside_s for stage in stages) / costs.total_s if costs.total_s else 0.0
    return max(0.0, start_s - max(0.0, shorter_s) / (len(stages) - share))


def _fitted_to_stages(timing: PlanTiming, costs: _PlanCosts, scale: float, start_s: float) -> _PlanCosts:
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


_Sides = dict[tuple[str, Precision], float]


def _boundary_costs(
    timing: PlanTiming, costs: _PlanCosts, scale: float, start_s: float
) -> tuple[_Sides, _Sides]:
    """Return (tensor, precision) -> seconds of the stages that end there, and of those that begin there."""
    leave: _Sides = {}
    enter: _Sides = {}
    for stage in _cut_stages(timing, costs, scale):
        share = max(0.0, stage.slack_s(start_s)) / len(stage.cuts)
        for tensor in (timing.switches[index] for index in stage.cuts):
            side = leave if tensor.producer in stage.units else enter
            key = tensor.name, Precision(tensor.precision_in(timing.mix))
            side[key] = max(
                share, side.get(key, 0.0)
            )  # of two stages that read it, none costs less than seen
    return leave, enter


def _corrected_units(profile: LatencyProfile, timing: PlanTiming, costs: _PlanCosts) -> tuple[UnitCost, ...]:
    seconds = {
        (timing.units[index].name, timing.precision_of(index)): unit_s
        for index, unit_s in costs.units.items()
    }
    return tuple(
        replace(row, seconds=seconds.get((row.unit, row.precision), row.seconds)) for row in profile.units
    )


def _corrected_switches(
    profile: LatencyProfile, timing: PlanTiming, costs: _PlanCosts
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


def _corrected_seams(profile: LatencyProfile, leave_s: _Sides, enter_s: _Sides) -> tuple[SeamCost, ...]:
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
