"""From seconds of kernels and stages to what units, stage boundaries and wires cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from profiling.on_device.kernels import KernelTimes, OwnerKind
from profiling.on_device.latency_record import StageBoundaryRow, UnitRow
from profiling.on_device.measurement_order import FP32, MeasurementPlan, SwitchTensor, tensor_precision

# On 120 made-up sets of stages the misses after so many rounds were at most 0.6 % above those after 120
# rounds, and the same in the median; after ten, up to 2 %.
_REWEIGHTED = 30
_ROUNDING = 1e-9  # by which a rest that is a run's start may differ from it
_LEAST_MISS_S = 1e-6  # smaller misses weigh alike: one that is hit exactly must not outweigh all others


class Line(NamedTuple):
    """Seconds as a line over a size."""

    start: float
    slope: float

    def at(self, size: int) -> float:
        """Return the seconds of a size."""
        return self.start + self.slope * size


_ZERO = Line(0.0, 0.0)


def rest_factor(wall_s: float, start_s: float, rest_s: float) -> float:
    """Return how many times as long units take once they bear what no kernel accounts for, but a start.

    Parameters
    ----------
    wall_s, start_s
        Of a run of the model, and of any run.
    rest_s
        What no kernel accounts for, the start within it.
    """
    is_more = start_s * (1 + _ROUNDING) < rest_s < wall_s
    return (wall_s - start_s) / (wall_s - rest_s) if is_more else 1.0


def unit_costs(plan: MeasurementPlan, measured: Sequence[KernelTimes]) -> list[UnitRow]:
    """Return the seconds of every unit in every precision that it can have, from the models in one precision.

    Parameters
    ----------
    measured
        Kernels of each variant, the first ones in the order of the plan's precisions.
    """
    return [
        UnitRow(unit.name, precision, seconds.get(index, 0.0), spreads.get(index, 0.0))
        for precision, times in zip(plan.precisions, measured)
        for seconds, spreads in [(times.of(OwnerKind.UNIT), times.relative_iqrs(OwnerKind.UNIT))]
        for index, unit in enumerate(plan.units)
        if unit.quantizable or precision == FP32
    ]


def stage_seconds(
    switches: Sequence[SwitchTensor],
    stages: Sequence[Sequence[int]],
    seconds: Mapping[OwnerKind, Mapping[int, float]],
) -> list[float]:
    """Return the seconds of each stage's units and switches.

    Parameters
    ----------
    stages
        Units of each.
    seconds
        Kind of owner -> index -> seconds inside the whole model, for all kinds but `UNKNOWN`.
    """
    if not stages:
        return []
    stage_of = {unit: number for number, units in enumerate(stages) for unit in units}
    totals = [0.0] * len(stages)
    for unit, unit_s in seconds[OwnerKind.UNIT].items():
        totals[stage_of[unit]] += unit_s
    for kind in (OwnerKind.QUANTIZE, OwnerKind.DEQUANTIZE, OwnerKind.ENCODE, OwnerKind.DECODE):
        for index, tensor_s in seconds[kind].items():
            tensor = switches[index]
            # What shrinks a tensor runs where it is written, what brings it back where it is read.
            near = (
                (tensor.producer, *tensor.consumers)
                if kind in (OwnerKind.QUANTIZE, OwnerKind.ENCODE)
                else (*tensor.consumers, tensor.producer)
            )
            totals[next(stage_of[unit] for unit in near if unit >= 0)] += tensor_s
    return totals


def measured_cuts(switches: Sequence[SwitchTensor], stages: Sequence[Sequence[int]]) -> list[list[int]]:
    """Return for each stage the indices of the tensors at which it begins or ends."""
    if not stages:
        return []
    stage_of = {unit: number for number, units in enumerate(stages) for unit in units}
    cuts: list[list[int]] = [[] for _ in stages]
    for index, (_, _, producer, consumers) in enumerate(switches):
        # The caller hands over inputs and takes outputs of the whole model as well: no cut.
        away = {stage_of[unit] for unit in consumers if unit >= 0 <= producer} - {stage_of.get(producer)}
        for stage in [stage_of[producer], *sorted(away)] if away else []:
            cuts[stage].append(index)
    return cuts


def stage_boundary_costs(
    plan: MeasurementPlan, overheads: Sequence[Sequence[float]]
) -> list[StageBoundaryRow]:
    """Return what a stage loses by ending or beginning at a tensor, in each precision.

    Every cut has two sides; a line over the tensor's bytes as float, per side and precision, explains best
    what the stages of the first variants take too long. A stage's beginning and end are not told apart.

    Parameters
    ----------
    overheads
        Of each precision, fp32 first, seconds of each stage beyond those of its units.
    """
    lines = dict.fromkeys(filter(_is_of_tensors, plan.precisions), _ZERO)
    cuts = measured_cuts(plan.switches, plan.stages)
    for precision, mix, overhead in zip(plan.precisions, plan.mixes, overheads):
        if precision not in lines:
            continue
        sides, rest = [], []
        for indices, seconds in zip(cuts, overhead):
            tensors = [plan.switches[index] for index in indices]
            sizes = [t.size_bytes for t in tensors if t.precision_in(mix) == precision]
            others = [t.size_bytes for t in tensors if t.precision_in(mix) != precision]
            sides.append((len(sizes), sum(sizes)))
            rest.append(seconds - sum(lines[FP32].at(size) for size in others))
        lines[precision] = _never_negative(sides, rest)
    return [
        StageBoundaryRow(
            tensor.name, precision, line.at(tensor.size_bytes), line.at(tensor.size_bytes), measured=False
        )
        for precision, line in lines.items()
        for tensor in plan.switches
    ]


def _is_of_tensors(precision: str) -> bool:
    """Return whether tensors can have a precision; they cannot where units beside them have another name."""
    return tensor_precision(precision) == precision


def _never_negative(sides: Sequence[tuple[int, int]], seconds: Sequence[float]) -> Line:
    """Return the line, neither start nor slope negative, that misses least in absolute terms.

    Least squares with weights that fall with the miss (iteratively reweighted): a stage that lost a fusion
    moves the line little.

    Parameters
    ----------
    sides
        Of each stage, how many tensors it is cut at and their bytes.
    """
    table, wanted = np.asarray(sides, dtype=float), np.asarray(seconds, dtype=float)
    # Where the best of all lines has a negative part, the best allowed one lacks it: each is tried.
    best, least = _ZERO, float(np.abs(wanted).sum())
    for columns in ([0, 1], [0], [1]):
        part, weight = table[:, columns], np.ones(len(wanted))
        for _ in range(_REWEIGHTED):
            solution = np.linalg.lstsq(part * weight[:, None], wanted * weight, rcond=None)[0]
            missed = np.abs(wanted - part @ solution)
            weight = 1 / np.sqrt(np.maximum(missed, _LEAST_MISS_S))
        if (solution >= 0).all() and missed.sum() < least:
            full = dict(zip(columns, solution))
            best, least = Line(float(full.get(0, 0.0)), float(full.get(1, 0.0))), float(missed.sum())
    return best


def fit_line(points: Sequence[tuple[int, float]]) -> Line:
    """Return seconds as a line over sizes, never falling or negative; zero where nothing was measured.

    Parameters
    ----------
    points
        (size, seconds), none negative.
    """
    if not points:
        return _ZERO
    sizes, seconds = np.asarray(points, dtype=float).T
    if len(set(sizes)) < 2:  # a line needs two sizes
        return Line(float(np.median(seconds)), 0.0)
    slope, start = np.polyfit(sizes, seconds, 1)
    if slope >= 0 and start >= 0:
        return Line(float(start), float(slope))
    # Of the lines that are allowed, the least squares are then those of a level or of one through the origin.
    bounds = (Line(float(seconds.mean()), 0.0), Line(0.0, float(seconds @ sizes / (sizes @ sizes))))
    return min(bounds, key=lambda line: float(((seconds - line.start - line.slope * sizes) ** 2).sum()))
