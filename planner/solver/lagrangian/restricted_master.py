"""The small linear program that mixes the plans met so far, for the multipliers of the limits."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulp

from planner.solver.backends import run_linear

# What exceeding a limit by all of it costs, as a multiple of the most expensive plan: so much that no mixture
# exceeds a limit if one is known that does not, and little enough for the solver's tolerances.
INFEASIBILITY_PENALTY = 100.0


@dataclass(frozen=True, slots=True)
class Column:
    """A plan: its cost, and what it uses of each limit, as a fraction of it."""

    cost: float
    usage: tuple[float, ...]


def solve_restricted_master(columns: Sequence[Column]) -> tuple[float, list[float]]:
    """Return the least cost of a mixture of plans that keeps all limits, and each limit's multiplier there.

    The multiplier is what the least cost falls by if the limit rises by all of it. Where no mixture keeps
    the limits, exceeding them is paid for.

    Examples
    --------
    >>> cost, multipliers = solve_restricted_master([Column(1.0, (2.0,)), Column(3.0, (0.0,))])
    >>> round(cost, 6), [round(x, 6) for x in multipliers]
    (2.0, [1.0])
    """
    lp = pulp.LpProblem("mixture", pulp.LpMinimize)
    # Costs are scaled to at most 1, for the solver's absolute tolerances.
    shares = [lp.add_variable(f"share_{k}", 0) for k in range(len(columns))]
    largest_cost = max(abs(column.cost) for column in columns) or 1.0
    count = len(columns[0].usage)
    excess = [lp.add_variable(f"excess_{r}", 0) for r in range(count)]
    lp.addConstraint(pulp.lpSum(shares) == 1, "one")
    rows = []
    for r in range(count):
        usage = pulp.LpAffineExpression([(x, c.usage[r]) for x, c in zip(shares, columns, strict=True)])
        rows.append(usage - excess[r] <= 1)
        lp.addConstraint(rows[r], f"limit_{r}")
    costs = [(x, column.cost / largest_cost) for x, column in zip(shares, columns, strict=True)]
    lp.setObjective(pulp.LpAffineExpression([*costs, *((x, INFEASIBILITY_PENALTY) for x in excess)]))
    least = run_linear(lp)
    return least * largest_cost, [max(0.0, -row.pi) * largest_cost for row in rows]
