"""The variables that say which option each vertex takes: x[v,o]."""

import networkx as nx
import pulp

from planner.problem.placement_problem import PlacementProblem
from planner.solver.milp.program import CostAccount, Program


def add_choice(program: Program) -> None:
    """Give each vertex exactly one option: sum_o x[v,o] = 1."""
    problem = program.problem
    # A vertex whose device is that of its group's first, and that has one option there, needs no variable of
    # its own: it shares the first one's, which has to exist before.
    groups = groups_together(problem)
    firsts = {v: group[0] for group in groups for v in group if _follows(problem, group[0], v)}
    # First vertices of groups come first, since others take their variables over.
    for v in sorted(range(len(problem.vertices)), key=lambda v: firsts.get(v, v) != v):
        vertex, first = problem.vertices[v], firsts.get(v, v)
        if first != v:
            by_device = {o.device: x for x, o in program.options(first)}
            program.x[v] = row = [by_device[option.device] for option in vertex.options]
        else:
            count = len(vertex.options)
            program.x[v] = row = [
                program.lp.add_variable(f"x_{v}_{o}", cat=pulp.LpBinary) for o in range(count)
            ]
            program.add("choose", pulp.lpSum(row) == 1)
        for x, option in zip(row, vertex.options, strict=True):
            physical = problem.physical_device(option.device)
            program.add_cost(
                x,
                {
                    (CostAccount.BUSY, option.device): option.seconds,
                    (CostAccount.JOULES, physical): option.joules,
                    (CostAccount.WEIGHTS, physical): option.weight_bytes,
                    (CostAccount.NOISE, vertex.model): option.noise_power,
                },
            )


def _follows(problem: PlacementProblem, first: int, v: int) -> bool:
    """Return whether the device of a group's first vertex decides the option of another one."""
    first_devices, devices = ([o.device for o in problem.vertices[w].options] for w in (first, v))
    # Of several visits of a device each of a group may take another one.
    physical_devices_of_first = {problem.physical_device(d) for d in first_devices}
    return len(physical_devices_of_first) == len(first_devices) and sorted(first_devices) == sorted(devices)


def groups_together(problem: PlacementProblem) -> list[list[int]]:
    """Return the groups that are to be together, those that share a vertex as one."""
    links: nx.Graph = nx.Graph()
    for group in problem.together:
        nx.add_path(links, group)
    return [sorted(group) for group in nx.connected_components(links)]
