"""Blocks of consecutive units, to whose ends changes are followed one by one, so that runs stay few.

To follow every change to the outputs takes half a model for each. To the end of a block it takes half a block
for each. What lies behind runs for each tensor that crosses the end, with errors of many changes at once.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from profiling.arrays import Array
from profiling.noise.block_end import PARTS

_FARTHEST = 0.5  # from where blocks would have equal work, in blocks


@dataclass(frozen=True, slots=True)
class RunBudget:
    """What following all changes through a model may cost; of the two, the one that allows more counts.

    Parameters
    ----------
    runs
        Of the whole model on one sample.
    multiplications
        Of a model so small that many runs take little.
    """

    runs: float
    multiplications: float

    def runs_per_sample(self, multiplications: float, samples: int) -> float:
        """Return how many runs of a model each sample may have.

        Examples
        --------
        >>> RunBudget(100, 3e11).runs_per_sample(1e9, samples=2)
        150.0
        """
        return max(self.runs, self.multiplications / max(1.0, multiplications)) / max(1, samples)


@dataclass(frozen=True, slots=True)
class FollowedChanges:
    """A model's units, and changes that are followed through it.

    Parameters
    ----------
    work
        Of each unit, in any unit of measure.
    crossing
        How many tensors cross in front of each unit: what units behind read of those before it.
    places
        Of each change: how many units lie in front of the first that has to run.
    """

    work: tuple[float, ...]
    crossing: tuple[int, ...]
    places: tuple[int, ...]

    def runs(self, ends: Sequence[int]) -> float:
        """Return what it takes to follow all changes, in runs of the whole model for each sample.

        Parameters
        ----------
        ends
            Of blocks, as `blocks_within` returns them.

        Examples
        --------
        >>> FollowedChanges((1.0, 1.0), (1, 1), (0, 1)).runs([2])
        1.5
        """
        places = np.asarray(self.places, dtype=int)
        block_ends = np.asarray(ends)[np.searchsorted(ends, places)]
        alone = float((self._done[block_ends] - self._done[places]).sum())
        if len(ends) == 1:
            return alone
        return alone + sum(self.runs_for_end(*block) for block in pairwise((0, *ends)))

    def runs_for_end(self, start: int, end: int) -> float:
        """Return what the end of a block takes: to compute it, and to run what lies behind it."""
        if end == len(self.work):
            return 0.0
        return self.share(start, end) + PARTS * self.crossing[end] * self.share(end, len(self.work))

    def share(self, first: int, end: int) -> float:
        """Return the share that some units have in all work."""
        return float(self._done[end] - self._done[first])

    @property
    def _done(self) -> Array:
        done = np.concatenate([[0.0], np.cumsum(self.work, dtype=np.float64)])
        return done / done[-1] if done[-1] else np.linspace(0, 1, len(done))

    @property
    def most_blocks(self) -> int:
        """How many blocks can save runs: with more, what lies behind them takes more than they save."""
        return min(len(self.work), math.isqrt(len(self.places)) + 1)

    def equal_blocks(self, count: int) -> tuple[int, ...]:
        """Return the ends of blocks of about the same work, put where the fewest tensors cross.

        Where blocks would be empty, there are fewer.
        """
        done = self._done * count
        ends = {len(self.work)}
        for number in range(1, count):
            away = np.abs(done[1:-1] - number)
            near = np.flatnonzero(away <= _FARTHEST) + 1
            ends |= set(sorted(near, key=lambda end: (self.crossing[end], away[end - 1]))[:1])
        return tuple(sorted(map(int, ends)))


def blocks_within(changes: FollowedChanges, budget: float) -> tuple[int, ...]:
    """Return for each block how many units lie in front of its end; for the last, all do.

    There is one block if following all changes to the outputs keeps the budget. Otherwise there are as few as
    keep it, or as many as take the fewest runs.

    Parameters
    ----------
    budget
        In runs of the whole model for each sample.

    Examples
    --------
    >>> model = FollowedChanges((1.0,) * 64, (1,) * 64, tuple(range(64)))
    >>> [blocks_within(model, budget) for budget in (40.0, 20.0, 16.0)]
    [(64,), (32, 64), (21, 43, 64)]
    """
    cheapest: tuple[int, ...] = (len(changes.work),)
    fewest_runs = float("inf")
    for count in range(1, changes.most_blocks + 1):
        ends = changes.equal_blocks(count)
        if (runs := changes.runs(ends)) < fewest_runs:
            cheapest, fewest_runs = ends, runs
        if fewest_runs <= budget:
            break
    return cheapest
