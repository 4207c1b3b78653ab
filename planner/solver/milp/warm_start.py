"""A plan that is known, as values of the integer program's variables to start from."""

from collections.abc import Sequence

import pulp

from planner.problem.placement_problem import Choice
from planner.solver.milp.builder import Program


def start_values(
    program: Program, keep: Sequence[Sequence[int]], choice: Choice | None
) -> dict[pulp.LpVariable, float]:
    """Return values of the choosing variables for a plan, if its options are all there."""
    if choice is None:
        return {}
    pairs = list(zip(keep, choice.options, strict=True))
    if not all(chosen in kept for kept, chosen in pairs):
        return {}
    values = {
        x: float(kept[o] == chosen)
        for row, (kept, chosen) in zip(program.x, pairs, strict=True)
        for o, x in enumerate(row)
    }
    for f, row in program.w.items():
        values |= {x: float(number == choice.wire(f)) for number, x in row.items()}
    return values
