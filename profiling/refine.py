"""A plan's own model corrects the profile: what units and switches cost there replaces what was expected."""

from collections import Counter
from dataclasses import dataclass, replace

from profiling.onboard import Order, Timed, switch_events
from profiling.profile import LatencyProfile, Precision

_TO = {"q": Precision.INT8, "d": Precision.FP32}


@dataclass(frozen=True, slots=True)
class InPlace:
    """A plan's whole model and the fp32 model, timed in turn on one device.

    Parameters
    ----------
    order
        Units and switches by index.
    int8
        The plan's units in int8.
    """

    order: Order
    int8: frozenset[int]
    fp32: Timed
    plan: Timed

    @property
    def ratio_to_fp32(self) -> float:
        """Seconds of the plan's model over those of the fp32 model."""
        return self.plan.wall_s / self.fp32.wall_s


def refine(profile: LatencyProfile, found: InPlace) -> LatencyProfile:
    """Return a profile under which the plan costs what it was measured to cost, relative to fp32.

    A unit far from switches takes the seconds that it had in the plan. Beside a switch it keeps its own,
    and what it lost there belongs to the switch. Costs that the plan does not have stay.
    """
    order, int8 = found.order, found.int8
    scale = profile.wall_s[Precision.FP32] / found.fp32.wall_s
    mine = found.plan.kernels.scaled(scale)
    units = {(row.unit, row.precision): row.seconds for row in profile.units}
    switches = {(row.tensor, row.to): row.seconds for row in profile.switches}
    events = switch_events(order, int8)
    touched = Counter(unit for beside in events.values() for unit in beside)
    lost: dict[int, float] = {}
    seconds = mine.of("u")
    for index, (name, able) in enumerate(order.units):
        key = name, Precision.INT8 if index in int8 and able else Precision.FP32
        lost[index] = max(0.0, seconds.get(index, 0.0) - units[key]) if touched[index] else 0.0
        units[key] = seconds.get(index, 0.0) - lost[index]
    own = {"q": mine.of("q"), "d": mine.of("d")}
    chosen = {
        (name, Precision.INT8 if i in int8 else Precision.FP32) for i, (name, _) in enumerate(order.units)
    }
    paid = set()
    for (kind, place), beside in events.items():
        key = order.switches[place][0], _TO[kind]
        switches[key] = own[kind].get(place, 0.0) + sum(lost[unit] / touched[unit] for unit in beside)
        paid.add(key)
    # What no unit and no switch accounts for is spread over all of the plan's costs.
    total = sum(units[key] for key in chosen) + sum(switches[key] for key in paid)
    stretch = found.plan.wall_s * scale / total if total else 1.0
    units |= {key: units[key] * stretch for key in chosen}
    switches |= {key: switches[key] * stretch for key in paid}
    return replace(
        profile,
        units=tuple(replace(row, seconds=units[row.unit, row.precision]) for row in profile.units),
        switches=tuple(
            replace(
                row,
                seconds=switches[row.tensor, row.to],
                measured=row.measured or (row.tensor, row.to) in paid,
            )
            for row in profile.switches
        ),
    )
