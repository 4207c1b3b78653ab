"""Which solver solves integer programs, how well, and the clock by which it ends."""

from collections.abc import Callable
from dataclasses import dataclass

Clock = Callable[[], float]
"""Returns seconds."""


@dataclass(frozen=True, slots=True)
class SolverOptions:
    """Which solver, and when it may stop.

    Parameters
    ----------
    name
        `highs` (embedded), `cbc`, or `gurobi`, `cplex`, `scip` where they are installed.
    time_limit_s, gap
        Stop after so long, or when the answer is proved to be within this fraction of the best.
    """

    name: str = "highs"
    time_limit_s: float = 60.0
    gap: float = 1e-6
