"""Solved problems kept on disk, so that what was interrupted goes on where it stopped."""

import hashlib
import logging
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

import msgspec

from planner.errors import SolverError
from planner.problem.placement_problem import Choice, PlacementProblem
from planner.solver.backends import solver_versions
from planner.solver.process_pool import process_map
from planner.solver.result import SolveResult
from planner.solver.solve import solve
from planner.solver.solver_options import SolverOptions
from profiling.records.cache import EntryKind, cached, entry_path

log = logging.getLogger(__name__)


def solve_cached(
    problem: PlacementProblem, options: SolverOptions, start_plans: Sequence[Choice] = ()
) -> SolveResult:
    """Return what `solve` does, from the cache where the same problem was solved before.

    `start_plans` are no part of the key: they change the time, not the answer's guarantee.

    Raises
    ------
    SolverError
        As `solve`.
    """
    content = hashlib.sha256(msgspec.json.encode((problem, options))).hexdigest()
    path = entry_path(EntryKind.SOLVED, solve, problem=content, solver=solver_versions(options.name))
    return cached(path, SolveResult, lambda: solve(problem, options, start_plans))


def warm_cache(problems: Sequence[PlacementProblem], options: SolverOptions, jobs: int) -> None:
    """Solve problems side by side, so that `solve_cached` finds them in the cache.

    A problem that the solver fails at is left to `solve_cached`, which says so; so is what is left when a
    process dies. With as many processes as problems, or fewer, nothing is gained over starting them, and
    nothing is done.
    """
    if jobs <= 1 or len(problems) <= jobs:
        return
    log.info("solving %d problems in %d processes", len(problems), jobs)
    try:
        with process_map(jobs) as mapped:
            for _ in mapped(partial(_try, options=options), problems):
                pass
    except SolverError as exc:
        log.warning("%s; the rest is solved one by one", exc)


def _try(problem: PlacementProblem, options: SolverOptions) -> None:
    with suppress(SolverError):
        solve_cached(problem, options)
