"""A knapsack as a small program, and its best value by enumeration."""

import pulp

VALUES, WEIGHTS, ROOM = (10, 13, 7, 8, 2), (5, 7, 4, 3, 1), 12


def knapsack(kind: str = pulp.LpBinary) -> tuple[pulp.LpProblem, list[pulp.LpVariable]]:
    lp = pulp.LpProblem("knapsack", pulp.LpMinimize)
    taken = [lp.add_variable(f"x_{n}", 0, 1, kind) for n in range(len(VALUES))]
    lp.addConstraint(pulp.lpSum(w * x for w, x in zip(WEIGHTS, taken, strict=True)) <= ROOM, "room")
    lp.setObjective(pulp.lpSum(-v * x for v, x in zip(VALUES, taken, strict=True)))
    return lp, taken


def best() -> int:
    sets = ([n for n in range(5) if pick >> n & 1] for pick in range(32))
    return max(sum(VALUES[n] for n in one) for one in sets if sum(WEIGHTS[n] for n in one) <= ROOM)
