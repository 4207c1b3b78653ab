"""Seconds of each unit inside the whole model, as differences of stages that end before it and with it."""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Protocol

from profiling.arrays import Array, Feeds
from profiling.litert.cut import Stage, cut_out, whole_stage
from profiling.litert.interpreter import TimedInterpreter, tensor_values
from profiling.litert.load import LitertModel
from profiling.on_device.robust_statistics import interquartile_mean, relative_iqr
from profiling.on_device.timing_loop import time_interleaved

_CONTEXT = 8  # units before the one that is timed: caches are as in the whole, and a run stays short
_ROUNDS = 30
_WHOLE_EVERY = 16  # units: what the machine does in between shows in the whole as well

Clock = Callable[[], float]


class PartedModel(Protocol):
    """A model whose operators belong to units, as it came or quantized."""

    @property
    def model(self) -> LitertModel:
        """The model."""

    @property
    def operators(self) -> tuple[tuple[int, ...], ...]:
        """The operators of each unit, in running order."""

    @property
    def shared(self) -> frozenset[int]:
        """Operators of no unit."""


@dataclass(frozen=True, slots=True)
class UnitTimes:
    """Seconds of units in the whole model.

    Parameters
    ----------
    seconds
        Of each unit; 0 where a unit is too short to be seen.
    whole_s
        Of a run of the whole.
    whole_spread
        Width of the middle half of its runs over their median.
    """

    seconds: tuple[float, ...]
    whole_s: float
    whole_spread: float

    @property
    def adds_up_to(self) -> float:
        """The units' seconds over those of the whole: 1 if differences are all there is to it."""
        return sum(self.seconds) / self.whole_s


def time_units(
    parted: PartedModel, feeds: Feeds, rounds: int = _ROUNDS, clock: Clock = time.thread_time
) -> UnitTimes:
    """Return the seconds of each unit, one thread.

    Parameters
    ----------
    feeds
        One real sample.
    rounds
        Of each pair of stages, run in turn.
    clock
        The processor time of this thread, which computes alone: other processes do not count.
    """
    values = next(tensor_values(parted.model, [feeds]))
    named = {parted.model.names[tensor]: value for tensor, value in values.items()} | dict(feeds)
    whole = TimedInterpreter(whole_stage(parted.model), feeds)
    seconds, whole_runs = list[float](), list[float]()
    for unit in range(len(parted.operators)):
        if unit % _WHOLE_EVERY == 0:
            whole_runs += time_interleaved({0: whole}, rounds, clock)[0]
        seconds.append(max(0.0, _difference(parted, unit, named, rounds, clock)))
    whole_runs = whole_runs or time_interleaved({0: whole}, rounds, clock)[0]
    return UnitTimes(tuple(seconds), interquartile_mean(whole_runs), relative_iqr(whole_runs))


def _difference(parted: PartedModel, unit: int, values: dict[str, Array], rounds: int, clock: Clock) -> float:
    first = max(0, unit - _CONTEXT)
    ending_with = TimedInterpreter(_stage(parted, range(first, unit + 1)), values)
    if first == unit:
        return interquartile_mean(time_interleaved({0: ending_with}, rounds, clock)[0])
    ending_before = TimedInterpreter(_stage(parted, range(first, unit)), values)
    runs = time_interleaved({"before": ending_before, "with": ending_with}, rounds, clock)
    return interquartile_mean([b - a for a, b in zip(runs["before"], runs["with"], strict=True)])


def _stage(parted: PartedModel, units: Collection[int]) -> Stage:
    inside = [number for unit in units for number in parted.operators[unit]]
    outside = [n for unit, numbers in enumerate(parted.operators) if unit not in units for n in numbers]
    return cut_out(parted.model, inside, outside, parted.shared)
