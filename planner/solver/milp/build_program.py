"""The placement problem as an integer program."""

from math import inf

import pulp

from planner.problem.placement_problem import PlacementProblem
from planner.problem.quantities import CostMetric
from planner.solver.device_order import DeviceOrder, implied_order
from planner.solver.milp.assignment_constraints import (
    add_apart,
    add_coupling,
    add_forced_kernels,
    add_formats,
    add_order,
    add_revisits,
    add_starts,
    add_together,
)
from planner.solver.milp.conversion_constraints import add_dequantize, add_quantize, add_stage_boundaries
from planner.solver.milp.objective_and_limits import add_limits, add_noise, add_objective, longest_s
from planner.solver.milp.option_variables import add_choice
from planner.solver.milp.program import Program
from planner.solver.milp.transport_constraints import (
    add_links,
    add_transport,
    add_wire_choice,
)


def build_program(
    problem: PlacementProblem,
    horizon_s: float = inf,
    device_order: DeviceOrder | None = None,
    serial: frozenset[int] = frozenset(),
) -> Program:
    """Return the integer program of a problem, without solving it.

    Parameters
    ----------
    horizon_s
        Seconds of a makespan that no plan of interest exceeds: the smaller, the tighter the relaxation.
    device_order
        What is decided of the order of devices; by default what this problem implies.
    serial
        Devices that run a unit which is on every path of their model, in the plans of interest.
    """
    horizon_s = min(horizon_s, problem.tightest_limit(CostMetric.MAKESPAN), longest_s(problem))
    program = Program(problem, pulp.LpProblem("placement", pulp.LpMinimize), horizon_s)
    program.serial = serial
    program.x = [[] for _ in problem.vertices]
    program.device_order = implied_order(problem) if device_order is None else device_order
    add_choice(program)
    add_together(program)
    add_apart(program)
    add_formats(program)
    add_transport(program)
    add_forced_kernels(program)
    add_coupling(program)
    add_links(program)
    add_wire_choice(program)
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
