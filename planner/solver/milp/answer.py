"""The solver's answer to the integer program: the choice, read off its variables."""

from collections.abc import Sequence

import pulp

from planner.problem.placement_problem import Choice
from planner.solver.milp.program import Program


def decoded_choice(program: Program) -> Choice:
    """Return the choice that the variables of a solved program stand for."""
    problem = program.problem
    wires = tuple(_wire(program.w.get(f, {})) for f in range(len(problem.flows)))
    return Choice(tuple(_greatest(row) for row in program.x), wires if any(wires) else ())


def _greatest(row: Sequence[pulp.LpVariable]) -> int:
    # A solver's 1 may be 0.9999999.
    values = [x.value() for x in row]
    return values.index(max(values))


def _wire(row: dict[int, pulp.LpVariable]) -> int:
    return max(row, key=lambda number: (row[number].value() > 0.5) * number, default=0)  # noqa: PLR2004
