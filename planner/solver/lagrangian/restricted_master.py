"""The small linear program that mixes the plans met so far, for the multipliers of the rows."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulp

from planner.solver.highs import run_linear

# What exceeding a limit by all of it costs, as a multiple of the most expensive plan: so much that no mixture
# exceeds a limit if one is known that does not, and little enough for the solver's tolerances.
INFEASIBILITY_PENALTY = 100.0


@dataclass(frozen=True, slots=True)
class Column:
    """A plan: its cost, what it uses of each row (of a limit, as a fraction), seconds of path segments."""

    cost: float
    usage: tuple[float, ...]
    lengths: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Maximum:
    """A part of the objective that is the largest of some rows.

    Parameters
    ----------
    weight
        What is paid per unit of it.
    rows
        Numbers of the rows; they are no limits.
    """

    weight: float
    rows: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Mixture:
    """The best mixture of plans.

    Parameters
    ----------
    cost
        Its cost, maxima and what limits are exceeded by included.
    multipliers
        Row -> what the cost falls by if a limit rises by all of it; of a maximum's row, its share of the
        weight.
    shares
        Plan -> its part of the mixture; they sum to 1.
    """

    cost: float
    multipliers: tuple[float, ...]
    shares: tuple[float, ...]


def solve_restricted_master(columns: Sequence[Column], maxima: Sequence[Maximum] = ()) -> Mixture:
    """Return the mixture of plans of least cost that keeps all limits.

    Where no mixture keeps the limits, exceeding them is paid for.

    Examples
    --------
    >>> mixture = solve_restricted_master([Column(1.0, (2.0,)), Column(3.0, (0.0,))])
    >>> round(mixture.cost, 6), [round(x, 6) for x in mixture.multipliers]
    (2.0, [1.0])
    >>> loads = [Column(0.0, (2.0, 0.0)), Column(0.0, (0.0, 6.0))]
    >>> balanced = solve_restricted_master(loads, [Maximum(1.0, (0, 1))])
    >>> round(balanced.cost, 6), [round(x, 6) for x in balanced.multipliers]
    (1.5, [0.75, 0.25])
    """
    lp = pulp.LpProblem("mixture", pulp.LpMinimize)
    # Costs are scaled to at most 1, for the solver's absolute tolerances.
    shares = [lp.add_variable(f"share_{k}", 0) for k in range(len(columns))]
    largest_cost = max(_cost(column, maxima) for column in columns) or 1.0
    largest = [lp.add_variable(f"maximum_{m}", 0) for m in range(len(maxima))]
    maximum_of = {row: m for m, maximum in enumerate(maxima) for row in maximum.rows}
    count = len(columns[0].usage)
    excess = [lp.add_variable(f"excess_{r}", 0) for r in range(count) if r not in maximum_of]
    unused_excess = iter(excess)
    lp.addConstraint(pulp.lpSum(shares) == 1, "one")
    rows = []
    for r in range(count):
        usage = pulp.LpAffineExpression([(x, c.usage[r]) for x, c in zip(shares, columns, strict=True)])
        rows.append(
            usage - largest[maximum_of[r]] <= 0 if r in maximum_of else usage - next(unused_excess) <= 1
        )
        lp.addConstraint(rows[r], f"row_{r}")
    costs = [(x, column.cost / largest_cost) for x, column in zip(shares, columns, strict=True)]
    costs += [(x, m.weight / largest_cost) for x, m in zip(largest, maxima, strict=True)]
    lp.setObjective(pulp.LpAffineExpression([*costs, *((x, INFEASIBILITY_PENALTY) for x in excess)]))
    least = run_linear(lp)
    return Mixture(
        least * largest_cost,
        tuple(max(0.0, -row.pi) * largest_cost for row in rows),
        tuple(max(0.0, share.value()) for share in shares),
    )


def _cost(column: Column, maxima: Sequence[Maximum]) -> float:
    """Return what a plan alone costs."""
    return abs(column.cost) + sum(m.weight * max(column.usage[r] for r in m.rows) for m in maxima)
