"""The placement problem as an integer program."""

from collections.abc import Mapping
from math import inf

import pulp

from planner.problem.placement_problem import PlacementProblem
from planner.problem.quantities import CostMetric
from planner.solver.milp.assignment_constraints import (
    add_apart,
    add_choice,
    add_coupling,
    add_forced_kernels,
    add_formats,
    add_order,
    add_revisits,
    add_starts,
    add_together,
    known_order,
)
from planner.solver.milp.builder import Program
from planner.solver.milp.objective_and_limits import add_limits, add_noise, add_objective, longest_s
from planner.solver.milp.transport_constraints import (
    add_dequantize,
    add_links,
    add_quantize,
    add_stage_boundaries,
    add_transport,
    add_wires,
)


def build(
    problem: PlacementProblem, horizon_s: float = inf, known: Mapping[tuple[int, int], bool] | None = None
) -> Program:
    """Return the integer program of a problem, without solving it.

    Parameters
    ----------
    horizon_s
        A makespan that no wanted plan exceeds.
    known
        Which device of a pair runs first, from `known_order`; by default that of this problem.
    """
    horizon_s = min(horizon_s, problem.tightest_limit(CostMetric.MAKESPAN), longest_s(problem))
    program = Program(problem, pulp.LpProblem("placement", pulp.LpMinimize), horizon_s)
    program.x = [[] for _ in problem.vertices]
    program.known = known_order(problem) if known is None else known
    add_choice(program)
    add_together(program)
    add_apart(program)
    add_formats(program)
    add_transport(program)
    add_forced_kernels(program)
    add_coupling(program)
    add_links(program)
    add_wires(program)
    add_quantize(program)
    add_dequantize(program)
    add_stage_boundaries(program)
    add_starts(program)
    add_order(program)
    add_revisits(program)
    add_noise(program)
    add_objective(program)
    add_limits(program)
    return program
