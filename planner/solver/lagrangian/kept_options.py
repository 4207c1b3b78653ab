"""The options that a bound leaves: those with which a plan may be within some reach."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

import numpy as np

from planner.solver.lagrangian.tree_decomposition import Table

_SLACK = 1e-9  # relative: the relaxation adds the same costs in another order


@dataclass(frozen=True, slots=True)
class KeptOptions:
    """Some options of each vertex, by their numbers.

    Parameters
    ----------
    bound_of_rest
        On the objective of every plan that has an option which is left out.
    """

    options: tuple[tuple[int, ...], ...]
    bound_of_rest: float

    @property
    def count(self) -> int:
        """How many options a program has that keeps these."""
        return sum(map(len, self.options))


def options_within(option_bounds: Sequence[Table], reach: float) -> KeptOptions:
    """Return the options with which a plan may be within reach, by the bound on the plans with each.

    Examples
    --------
    >>> kept = options_within([np.array([1.0, 3.0]), np.array([2.0, 1.5])], 2.0)
    >>> kept.options, kept.count, kept.bound_of_rest
    (((0,), (0, 1)), 3, 3.0)
    """
    slack = _SLACK * (abs(reach) + _SLACK)
    is_kept = [row <= reach + slack for row in option_bounds]
    options = tuple(tuple(int(o) for o in np.flatnonzero(row)) for row in is_kept)
    left_out = (row[~kept] for row, kept in zip(option_bounds, is_kept, strict=True))
    return KeptOptions(options, min((float(row.min()) for row in left_out if row.size), default=inf))
