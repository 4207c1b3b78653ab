"""Plans over bandwidths and budgets: measured once, re-priced and re-solved at each of them."""

import time

from planner.basis import Basis
from planner.beside import with_baselines
from planner.catalogue import Catalogue
from planner.comparison import FORMAT, Comparison, Piece, Row
from planner.compose import objective_name
from planner.points import Points, Sweep
from planner.ranges import Ranges
from profiling.progress import Progress, silent


def compare(basis: Basis, sweep: Sweep, jobs: int = 1, progress: Progress = silent) -> Comparison:
    """Return the best plan at each bandwidth and budget of a sweep, and where it changes.

    What was solved before, by a run that was interrupted, say, is not solved again.

    Parameters
    ----------
    jobs
        Processes that solve rows' baselines side by side.
    """
    begun = time.perf_counter()
    points = Points(basis, sweep)
    plans, rivals = Catalogue(points), Catalogue(points)
    ranges = Ranges(points, plans)
    sets = list(sweep.budget_sets())
    pieces: list[Piece] = []
    rows: list[Row] = []
    for number, budgets in enumerate(sets):
        progress("comparing plans", number, len(sets))
        own, found = ranges.over_bandwidths(budgets)
        pieces += own
        rows += found
    progress("comparing plans", len(sets), len(sets))
    rows = list(with_baselines(points, rows, rivals, jobs, progress))
    bandwidths = sweep.bandwidths
    return Comparison(
        format=FORMAT,
        objective=objective_name(basis.scenario),
        links=bandwidths.links if bandwidths else (),
        unit=bandwidths.unit if bandwidths else "",
        units=tuple(unit.name for unit in basis.prepared.models.graph.units),
        plans=tuple(plans.lines),
        baseline_plans=tuple(rivals.lines),
        pieces=tuple(pieces),
        rows=tuple(rows),
        solves=ranges.solves,
        runtime_s=time.perf_counter() - begun,
    )
