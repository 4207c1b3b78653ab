"""What a conversion of a tensor between two precisions (a switch) costs, from seconds of kernels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from profiling.on_device.cost_fits import fit_line
from profiling.on_device.kernels import SWITCH_KINDS, KernelTimes, OwnerKind
from profiling.on_device.latency_record import SwitchRow
from profiling.on_device.measurement_order import (
    FP32,
    MeasurementPlan,
    Mix,
    SwitchTensor,
    tensor_precision,
)
from profiling.on_device.robust_statistics import interquartile_mean


class Conversion(NamedTuple):
    """A switch of a tensor, by its index, between fp32 and the precision that it has.

    Parameters
    ----------
    direction
        `QUANTIZE` from fp32 into the precision, `DEQUANTIZE` back.
    """

    direction: OwnerKind
    precision: str
    tensor: int

    @property
    def source(self) -> str:
        """Precision before the switch."""
        return FP32 if self.direction is OwnerKind.QUANTIZE else self.precision

    @property
    def to(self) -> str:
        """Precision behind the switch."""
        return self.precision if self.direction is OwnerKind.QUANTIZE else FP32


def conversions_of(switches: Sequence[SwitchTensor], mix: Mix) -> dict[Conversion, list[int]]:
    """Return every switch of a mixed model -> the units on both sides of it.

    A unit that computes on another precision than that of a tensor it touches is at a switch.
    """
    conversions = {}
    mix = {unit: tensor_precision(precision) for unit, precision in mix.items()}
    for index, tensor in enumerate(switches):
        precision = tensor.precision_in(mix)
        if precision == FP32:
            continue
        others = [unit for unit in tensor.consumers if mix.get(unit, FP32) != precision]
        if mix.get(tensor.producer, FP32) != precision:
            conversions[Conversion(OwnerKind.QUANTIZE, precision, index)] = [
                unit for unit in (tensor.producer, *tensor.consumers) if unit >= 0 and unit not in others
            ]
        if others:
            conversions[Conversion(OwnerKind.DEQUANTIZE, precision, index)] = [
                unit for unit in (tensor.producer, *others) if unit >= 0
            ]
    return conversions


def conversion_costs(
    plan: MeasurementPlan, measured: Sequence[KernelTimes], wholes_s: Sequence[float]
) -> list[SwitchRow]:
    """Return both directions of every tensor between units, measured where a mixed model showed it.

    A switch costs its own kernels, and what it costs the units on both sides of it: lost fusions and
    other layouts, which show as seconds beyond those of the units in the models of one precision. What
    a unit loses between several switches is divided evenly. What mixed models take beyond all that, since
    caches and the runtime's own work do not end at the next unit, their switches bear by the seconds of
    their kernels. What no model showed lies on a line over bytes.

    Parameters
    ----------
    measured
        Kernels of each variant, the first ones in the order of the plan's precisions.
    wholes_s
        Seconds of each variant's runs beyond what any run takes.
    """
    shown = _shown_conversions(plan, measured)
    rows = []
    for precision in dict.fromkeys(map(tensor_precision, plan.precisions[1:])):
        own = {conversion: found for conversion, found in shown.items() if conversion.precision == precision}
        further = _seconds_beyond(plan, measured, wholes_s, own)
        for direction in SWITCH_KINDS:
            ends = Conversion(direction, precision, 0)
            seconds = {
                conversion.tensor: max(0.0, found.seconds + further * found.kernels_s)
                for conversion, found in own.items()
                if conversion.direction is direction
            }
            line = fit_line([(plan.switches[index].size_bytes, value) for index, value in seconds.items()])
            rows += [
                SwitchRow(
                    tensor.name,
                    ends.source,
                    ends.to,
                    seconds.get(index, line.at(tensor.size_bytes)),
                    index in seconds,
                )
                for index, tensor in enumerate(plan.switches)
            ]
    return rows


class _Shown(NamedTuple):
    """What models show of a switch: seconds of its kernels, and with what units beside it lose."""

    kernels_s: float
    seconds: float


def _shown_conversions(plan: MeasurementPlan, measured: Sequence[KernelTimes]) -> dict[Conversion, _Shown]:
    """Return each switch -> what the models that have it show."""
    kernels_s: dict[Conversion, list[float]] = defaultdict(list)
    lost_s: dict[Conversion, list[float]] = defaultdict(list)
    uniform = _units_of_uniform(plan, measured)
    for mix, times in list(zip(plan.mixes, measured))[1:]:
        conversions = conversions_of(plan.switches, mix)
        touched: dict[int, int] = defaultdict(int)
        for units in conversions.values():
            for unit in units:
                touched[unit] += 1
        kernels = {direction: times.of(direction) for direction in SWITCH_KINDS}
        mixed = times.of(OwnerKind.UNIT)
        for conversion, units in conversions.items():
            base = {unit: uniform[mix.get(unit, FP32)].get(unit, 0.0) for unit in units}
            kernels_s[conversion].append(kernels[conversion.direction].get(conversion.tensor, 0.0))
            # Noise is kept, also below zero: it evens out over the models that show a switch.
            lost_s[conversion].append(
                sum((mixed.get(unit, 0.0) - base[unit]) / touched[unit] for unit in units)
            )
    return {
        conversion: _Shown(
            interquartile_mean(own_s),
            interquartile_mean([a + b for a, b in zip(own_s, lost_s[conversion])]),
        )
        for conversion, own_s in kernels_s.items()
    }


def _units_of_uniform(plan: MeasurementPlan, measured: Sequence[KernelTimes]) -> dict[str, dict[int, float]]:
    """Return precision -> unit -> seconds in the model in that precision."""
    return {precision: times.of(OwnerKind.UNIT) for precision, times in zip(plan.precisions, measured)}


def _seconds_beyond(
    plan: MeasurementPlan,
    measured: Sequence[KernelTimes],
    wholes_s: Sequence[float],
    shown: Mapping[Conversion, _Shown],
) -> float:
    """Return what mixed models take beyond their units and switches, over the seconds of switches' kernels.

    Parameters
    ----------
    shown
        The switches of one precision.
    """
    uniform = _units_of_uniform(plan, measured)
    # What no kernel accounts for, the units of a model bear in proportion.
    rests = {
        precision: whole_s / times.attributed_s if times.attributed_s else 1.0
        for precision, times, whole_s in zip(plan.precisions, measured, wholes_s)
    }
    beyond = []
    for mix, whole_s in list(zip(plan.mixes, wholes_s))[len(plan.precisions) :]:
        conversions = [
            shown[conversion] for conversion in conversions_of(plan.switches, mix) if conversion in shown
        ]
        kernels_s = sum(one.kernels_s for one in conversions)
        if not kernels_s:
            continue
        parts_s = sum(max(0.0, one.seconds) for one in conversions)
        for unit in range(len(plan.units)):
            precision = mix.get(unit, FP32)
            parts_s += uniform[precision].get(unit, 0.0) * rests[precision]
        beyond.append((whole_s - parts_s) / kernels_s)
    return interquartile_mean(beyond) if beyond else 0.0
