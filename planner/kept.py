"""Solved problems kept on disk, so that what was interrupted goes on where it stopped."""

import hashlib
from collections.abc import Sequence

import msgspec

from planner.ilp import SolveResult, solve
from planner.problem import Choice, PlacementProblem
from planner.solvers import SolverOptions
from profiling.cache import cache_key, cached
from profiling.folders import cache_folder


def solve_kept(
    problem: PlacementProblem, options: SolverOptions, known: Sequence[Choice] = ()
) -> SolveResult:
    """Return what `solve` does, from the cache where the same problem was solved before.

    Raises
    ------
    SolverError
        As `solve`.
    """
    content = hashlib.sha256(msgspec.json.encode((problem, options))).hexdigest()
    key = cache_key(problem=content)
    return cached(cache_folder() / f"solved-{key}.json", SolveResult, lambda: solve(problem, options, known))
