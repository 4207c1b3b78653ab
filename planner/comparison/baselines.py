"""Simpler ways to plan, on the same costs and under the same limits, to compare the joint plan with."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import permutations

from planner.errors import SolverError
from planner.problem.cost_evaluation import evaluate
from planner.problem.placement_problem import Choice, PlacementProblem
from planner.problem.uniform_choices import (
    Baseline,
    Price,
    best_of,
    best_uniform,
    price_of,
    uniform_choices,
    with_cheapest_crossings,
)
from planner.problem.units import Option
from planner.solver.best_wires import best_wires
from planner.solver.one_device import one_device_plan
from planner.solver.result import SolveResult
from planner.solver.solve import solve, solve_restricted
from planner.solver.solve_cache import solve_cached
from planner.solver.solver_options import SolverOptions

ONE_DEVICE_MIXED = "one device, mixed precision"
Allowed = Callable[[int, Option], bool]
Solver = Callable[[PlacementProblem, SolverOptions], SolveResult]
BaselineWork = tuple[PlacementProblem, SolverOptions] | None


def baselines(
    problem: PlacementProblem, options: SolverOptions, solver: Solver = solve
) -> tuple[Baseline, ...]:
    """Return what simpler ways to plan come to.

    All on one device, in one precision and in mixed precision; the best single cut of a topological order in
    fp32 (Kang et al., "Neurosurgeon", ASPLOS 2017) and in any uniform precision; the minimum cut of the fp32
    network between two devices (Hu et al., "Dynamic adaptive DNN surgery", INFOCOM 2019); precisions chosen
    for the source alone, then the split; the split in fp32, then the precisions. In all of them, tensors
    cross in the wires that are best, as in the joint plan.
    """
    bound = price_of(with_cheapest_crossings(problem))
    uniform = uniform_baselines(problem, uniform_choices(problem), bound, options, solver)
    return (*uniform, *solved_baselines(problem, options, solver))


def uniform_baselines(
    problem: PlacementProblem,
    choices: Iterable[tuple[str, Choice]],
    bound: Price,
    options: SolverOptions,
    solver: Solver = solve,
) -> tuple[Baseline, ...]:
    """Return the best of `uniform_choices`.

    Parameters
    ----------
    bound
        What a choice costs in `with_cheapest_crossings(problem)`.
    """

    def encoded(choice: Choice) -> Baseline:
        try:
            best = best_wires(problem, choice, options, solver)
        except SolverError:
            return Baseline("")
        if best is None:
            return Baseline("")
        return Baseline("", bound(best) if best is choice else evaluate(problem, best).objective, best)

    return best_uniform(choices, bound, encoded)


def solved_baselines(
    problem: PlacementProblem, options: SolverOptions, solver: Solver = solve
) -> tuple[Baseline, ...]:
    """Return the ways that need a solver themselves."""
    partial = _PartialPlanning(problem, options, solver)
    return (
        replace(partial.one_device(), name=ONE_DEVICE_MIXED),
        replace(partial.min_cut(), name="minimum fp32 cut"),
        replace(partial.quantize_first(), name="quantize, then split"),
        replace(partial.split_first(), name="split, then quantize"),
    )


def solve_baseline_work(work: BaselineWork) -> tuple[Baseline, ...]:
    """Return `solved_baselines` of a problem, from the cache where they are known; nothing without one.

    Processes that solve side by side load no more than this module needs.
    """
    return () if work is None else solved_baselines(*work, solver=solve_cached)


class _PartialPlanning:
    """Ways to plan that solve a part of the problem at a time."""

    def __init__(self, problem: PlacementProblem, options: SolverOptions, solver: Solver) -> None:
        self._problem, self._options, self._solver = problem, options, solver

    def one_device(self) -> Baseline:
        """Choose precisions jointly, and split nothing."""
        problem = self._problem
        devices = dict.fromkeys(map(problem.physical_device, range(len(problem.devices))))
        return best_of([self._all_on(d) for d in devices])

    def _all_on(self, device: int) -> Baseline:
        try:
            return _baseline(one_device_plan(self._problem, device, self._options, self._solver))
        except SolverError:
            return Baseline("")

    def min_cut(self) -> Baseline:
        pairs = permutations(range(len(self._problem.devices)), 2)
        return best_of([self._solved(_fp32_on(pair)) for pair in pairs])

    def quantize_first(self) -> Baseline:
        """Choose precisions as if all ran on one device, the best for that, then devices."""
        problem = self._problem
        # Limits on one device or link say nothing of a plan that is on another.
        free = replace(problem, limits=tuple(x for x in problem.limits if x.quantity.of is None))
        candidates = []
        for d in range(len(problem.devices)):
            uncut = self._solved(lambda _, option, at=d: option.device == at, free)  # type: ignore[misc]
            if uncut.choice is not None:
                chosen = [option.precision for option in _options(problem, uncut.choice)]
                candidates.append(self._solved(lambda v, o, p=chosen: o.precision == p[v]))  # type: ignore[misc]
        return best_of(candidates)

    def split_first(self) -> Baseline:
        """Choose devices in fp32, then precisions there."""
        placed = self._solved(lambda _, option: not option.quantized)
        if placed.choice is None:
            return Baseline("")
        where = [option.device for option in _options(self._problem, placed.choice)]
        return self._solved(lambda v, option: option.device == where[v])

    def _solved(self, allowed: Allowed, problem: PlacementProblem | None = None) -> Baseline:
        """Return the best choice among allowed options of units."""
        problem = problem or self._problem
        keep = [
            tuple(o for o, option in enumerate(vertex.options) if vertex.is_terminal or allowed(v, option))
            for v, vertex in enumerate(problem.vertices)
        ]
        if not all(keep):
            return Baseline("")
        try:
            return _baseline(solve_restricted(problem, keep, self._options, self._solver))
        except SolverError:
            return Baseline("")


def _baseline(result: SolveResult | None) -> Baseline:
    if result is None or result.choice is None or result.objective is None:
        return Baseline("")
    return Baseline("", result.objective, result.choice)


def _options(problem: PlacementProblem, choice: Choice) -> list[Option]:
    return [vertex.options[o] for vertex, o in zip(problem.vertices, choice.options, strict=True)]


def _fp32_on(devices: tuple[int, ...]) -> Allowed:
    return lambda _, option: not option.quantized and option.device in devices
