"""A plan's own models correct the profile: what units, switches and cuts cost there replaces expectations."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace

from profiling.on_device.measure import (
    MeasurementPlan,
    Timed,
    cuts_of,
    stage_seconds,
    switch_events,
    tensor_precision,
)
from profiling.precision import Precision
from profiling.records.profile import LatencyProfile


@dataclass(frozen=True, slots=True)
class StageTime:
    """Seconds of one stage.

    Parameters
    ----------
    units
        By index; none in a stage that only switches an input or output.
    here
        Whether the stage's device takes its costs from the profile that is corrected.
    """

    units: tuple[int, ...]
    seconds: float
    here: bool = True


@dataclass(frozen=True, slots=True)
class PlanTiming:
    """A plan's whole model, the fp32 model and the plan's stages, timed in turn on one device.

    Parameters
    ----------
    order
        Units and switches by index.
    mix
        Precisions of the plan's quantized units.
    fp32_s
        Seconds of the fp32 model.
    stages
        Empty if the plan is not cut.
    """

    order: MeasurementPlan
    mix: Mapping[int, Precision]
    fp32_s: float
    plan: Timed
    stages: tuple[StageTime, ...] = ()

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


def apply_corrections(profile: LatencyProfile, found: PlanTiming) -> LatencyProfile:
    """Return a profile under which the plan costs what it was measured to cost, relative to fp32.

    A unit far from switches takes the seconds that it had in the plan. Beside a switch it keeps its own,
    and what it lost there belongs to the switch. What a stage took beyond its units and switches belongs to
    its cuts, in equal parts. Costs that the plan does not have stay.
    """
    profile = profile.spread_rest()
    order, mix = found.order, found.mix
    scale = profile.wall_s[Precision.FP32] / found.fp32_s
    mine = found.plan.kernels.scaled(scale)
    units = {(row.unit, row.precision): row.seconds for row in profile.units}
    switches = {(row.tensor, row.source, row.to): row.seconds for row in profile.switches}
    events = switch_events(order, mix)
    touched = Counter(unit for beside in events.values() for unit in beside)
    lost: dict[int, float] = {}
    seconds = mine.of("u")
    chosen = {
        index: (name, mix.get(index, Precision.FP32) if able else Precision.FP32)
        for index, (name, able) in enumerate(order.units)
    }
    for index, key in chosen.items():
        lost[index] = max(0.0, seconds.get(index, 0.0) - units[key]) if touched[index] else 0.0
        units[key] = seconds.get(index, 0.0) - lost[index]
    own = {"q": mine.of("q"), "d": mine.of("d")}
    paid = {event: (order.switches[event[2]][0], *_ends(*event[:2])) for event in events}
    for (kind, form, place), beside in events.items():
        share = sum(lost[unit] / touched[unit] for unit in beside)
        switches[paid[kind, form, place]] = own[kind].get(place, 0.0) + share
    # What no unit, switch or wire accounts for is spread over all of the plan's costs.
    total = sum(units[key] for key in chosen.values()) + sum(switches[key] for key in paid.values())
    wires = {kind: mine.of(kind) for kind in "ec"}
    coded = sum(sum(seconds.values()) for seconds in wires.values())
    stretch = max(0.0, found.plan.wall_s * scale - profile.start_s - coded) / total if total else 1.0
    units |= {key: units[key] * stretch for key in chosen.values()}
    switches |= {key: switches[key] * stretch for key in paid.values()}
    inside: dict[str, dict[int, float]] = {"u": {index: units[key] for index, key in chosen.items()}}
    inside |= {"q": defaultdict(float), "d": defaultdict(float), **wires}
    for (kind, _, place), ends in paid.items():
        inside[kind][place] += switches[ends]
    leave, enter = _sides(found, inside, scale, profile.start_s)
    return replace(
        profile,
        units=tuple(replace(row, seconds=units[row.unit, row.precision]) for row in profile.units),
        switches=tuple(
            replace(
                row,
                seconds=switches[row.tensor, row.source, row.to],
                measured=row.measured or (row.tensor, row.source, row.to) in paid.values(),
            )
            for row in profile.switches
        ),
        seams=tuple(
            replace(
                row,
                leave_s=leave.get((row.tensor, row.form), row.leave_s),
                enter_s=enter.get((row.tensor, row.form), row.enter_s),
                measured=row.measured or (row.tensor, row.form) in {*leave, *enter},
            )
            for row in profile.seams
        ),
    )


def _ends(kind: str, form: str) -> tuple[Precision, Precision]:
    """Return from which precision to which a switch leads."""
    ends = (Precision.FP32, Precision(form))
    return ends if kind == "q" else ends[::-1]


_Sides = dict[tuple[str, Precision], float]


def _sides(
    found: PlanTiming, inside: Mapping[str, Mapping[int, float]], scale: float, start_s: float
) -> tuple[_Sides, _Sides]:
    """Return (tensor, form) -> seconds of the stages that end there, and of those that begin there."""
    leave: _Sides = {}
    enter: _Sides = {}
    stages = [stage.units for stage in found.stages]
    expected = stage_seconds(found.order, stages, inside)
    for stage, its, places in zip(found.stages, expected, cuts_of(found.order, stages), strict=True):
        if not stage.here or not stage.units or not places:
            continue
        share = max(0.0, stage.seconds * scale - start_s - its) / len(places)
        for place in places:
            name, _, producer, _ = found.order.switches[place]
            side = leave if producer in stage.units else enter
            side[name, Precision(tensor_precision(found.order, place, found.mix))] = share
    return leave, enter
