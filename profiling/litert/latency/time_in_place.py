"""Seconds of groups of operators inside the whole model: of stages that end with one, less before it."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from profiling.arrays import Feeds
from profiling.graph.any_model import Stage
from profiling.litert.cut import cut_out, whole_stage
from profiling.litert.interpreter import TimedInterpreter, tensor_values
from profiling.litert.load import LitertModel
from profiling.on_device.clock.run_clock import RunClock, clock_of
from profiling.on_device.litert.litert_timing import GroupCalls, group_seconds
from profiling.on_device.robust_statistics import interquartile_mean, relative_iqr
from profiling.on_device.timing.interleaved_rounds import time_interleaved

_CONTEXT = 8  # units before the one that is timed: caches are as in the whole, and a run stays short
_ROUNDS = 30
_WHOLE_EVERY = 16  # units: what the machine does in between shows in the whole as well


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
    parted: PartedModel, feeds: Feeds, rounds: int = _ROUNDS, clock: RunClock | None = None
) -> UnitTimes:
    """Return the seconds of each unit, one thread.

    Parameters
    ----------
    feeds
        One real sample.
    rounds
        Of each pair of stages, run in turn.
    clock
        Default: the processor time of this thread, which computes alone; other processes do not count.
    """
    clock = clock or clock_of(1)
    whole = TimedInterpreter(whole_stage(parted.model), feeds)
    runs, whole_runs = list[list[float]](), list[float]()
    groups = Groups(parted.model, parted.operators, parted.shared)
    for number, calls in enumerate(group_calls(groups, feeds)):
        found = group_seconds(calls, rounds, clock)
        if number % _WHOLE_EVERY == 0:
            whole_runs += time_interleaved({0: whole}, rounds, clock)[0]
        runs.append(found)
    whole_runs = whole_runs or time_interleaved({0: whole}, rounds, clock)[0]
    seconds = tuple(max(0.0, interquartile_mean(found)) for found in runs)
    return UnitTimes(seconds, interquartile_mean(whole_runs), relative_iqr(whole_runs))


@dataclass(frozen=True, slots=True)
class Groups:
    """Operators of a model in groups that are timed together, in running order.

    Parameters
    ----------
    shared
        Operators of no group: each stage has those that it needs.
    """

    model: LitertModel
    groups: Sequence[Sequence[int]]
    shared: frozenset[int]


class GroupStages(NamedTuple):
    """A stage that ends with a group, and one that ends before it, if the group is not the whole stage."""

    with_group: Stage
    before_group: Stage | None


def group_calls(groups: Groups, feeds: Feeds, threads: int = 1) -> Iterator[GroupCalls]:
    """Yield, for each group, the stages whose difference is what it takes."""
    values = next(tensor_values(groups.model, [feeds]))
    named = {groups.model.names[tensor]: value for tensor, value in values.items()} | dict(feeds)
    for ending_with, before in group_stages(groups):
        yield GroupCalls(
            TimedInterpreter(ending_with, named, threads),
            None if before is None else TimedInterpreter(before, named, threads),
        )


def group_stages(groups: Groups) -> Iterator[GroupStages]:
    """Yield, for each group, the stages whose difference is the group."""
    for number in range(len(groups.groups)):
        first = max(0, number - _CONTEXT)
        before = _stage(groups, range(first, number)) if first < number else None
        yield GroupStages(_stage(groups, range(first, number + 1)), before)


def _stage(groups: Groups, inside: Collection[int]) -> Stage:
    chosen = [operator for number in inside for operator in groups.groups[number]]
    others = [o for number, numbers in enumerate(groups.groups) if number not in inside for o in numbers]
    return cut_out(groups.model, chosen, others, groups.shared)
