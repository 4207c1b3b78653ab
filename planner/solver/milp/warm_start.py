"""A plan that is known, as values of the integer program's variables to start from."""

from collections.abc import Sequence

import pulp

from planner.problem.placement_problem import Choice
from planner.solver.milp.program import Program


def start_values(
    program: Program, keep: Sequence[Sequence[int]], choice: Choice | None
) -> dict[pulp.LpVariable, float]:
    """Return values of the variables x and w for a plan; none if one of its options was left out.

    The solver completes the others.

    Parameters
    ----------
    keep
        Vertex -> numbers of the options that the program has.
    choice
        A choice of the whole problem.
    """
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
