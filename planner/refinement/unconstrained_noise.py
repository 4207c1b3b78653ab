"""Plans without a limit on noise, which serve every limit: the best of all, the best in each precision."""

from collections.abc import Iterable, Iterator
from functools import cached_property

from planner.problem.placement_problem import Choice, PlacementProblem
from planner.solver.result import SolveResult, SolveStatus
from planner.solver.single_precision import uniform_precision_plans
from planner.solver.solve import solve
from planner.solver.solver_options import SolverOptions


class UnconstrainedNoisePlans:
    """The plans of one problem, each solved for once, when it is first asked for.

    Parameters
    ----------
    problem
        Without a limit on noise.
    """

    def __init__(self, problem: PlacementProblem, options: SolverOptions) -> None:
        self.problem, self.options = problem, options

    @cached_property
    def best(self) -> SolveResult:
        """The best plan of all."""
        return solve(self.problem, self.options)

    @cached_property
    def uniform(self) -> tuple[SolveResult, ...]:
        """Each precision's best plan in which every unit that can have it does, best first, each once."""
        return tuple(uniform_precision_plans(self.problem, self.options))

    def below(self, objective: float) -> Iterator[tuple[Choice, float]]:
        """Yield the plans whose objective is below a value, best first, each once, with their objectives.

        What cannot be among them is not solved for: no plan is below the bound of the best one, and none
        comes before it where it is proved to be the best.
        """
        best = self.best
        if best.bound is None or best.bound >= objective:
            return
        proved = best.status is SolveStatus.OPTIMAL
        if proved:
            yield from _sorted_below(objective, [best])
        others = [result for result in self.uniform if result.choice != best.choice]
        yield from _sorted_below(objective, others if proved else [best, *others])


def _sorted_below(objective: float, results: Iterable[SolveResult]) -> list[tuple[Choice, float]]:
    found = [(result.choice, result.objective or 0.0) for result in results if result.choice is not None]
    return sorted((pair for pair in found if pair[1] < objective), key=lambda pair: pair[1])
