"""The small linear program that mixes plans met so far, for the prices of what is limited."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulp

from planner.solver.backends import run_linear

INFEASIBILITY_PENALTY = 100.0  # times the dearest plan that exceeding a limit by all of it costs


@dataclass(frozen=True, slots=True)
class Column:
    """A plan: its cost, and what it spends of each limit, as a fraction of it."""

    cost: float
    usage: tuple[float, ...]


def solve_restricted_master(columns: Sequence[Column]) -> tuple[float, list[float]]:
    """Return the least cost of a mixture of plans that keeps all limits, and each limit's price there.

    The price is what the least cost falls by if the limit rises by all of it. Where no mixture keeps
    the limits, exceeding them is paid for.
    """
    lp = pulp.LpProblem("mixture", pulp.LpMinimize)
    shares = [lp.add_variable(f"share_{k}", 0) for k in range(len(columns))]
    dearest = max(abs(column.cost) for column in columns) or 1.0
    count = len(columns[0].usage)
    excess = [lp.add_variable(f"excess_{r}", 0) for r in range(count)]
    lp.addConstraint(pulp.lpSum(shares) == 1, "one")
    rows = []
    for r in range(count):
        spent = pulp.LpAffineExpression([(x, c.usage[r]) for x, c in zip(shares, columns, strict=True)])
        rows.append(spent - excess[r] <= 1)
        lp.addConstraint(rows[r], f"limit_{r}")
    costs = [(x, column.cost / dearest) for x, column in zip(shares, columns, strict=True)]
    lp.setObjective(pulp.LpAffineExpression([*costs, *((x, INFEASIBILITY_PENALTY) for x in excess)]))
    least = run_linear(lp)
    return least * dearest, [max(0.0, -row.pi) * dearest for row in rows]
