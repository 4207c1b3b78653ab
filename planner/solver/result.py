"""The answer of a solve, and how good it is proved to be."""

from dataclasses import dataclass, replace
from enum import StrEnum

from planner.problem.placement_problem import Choice

OPTIMAL_GAP = 1e-4  # relative, HiGHS's own default; a wider gap is called feasible whatever the solver says


class SolveStatus(StrEnum):
    """What a solve proved."""

    OPTIMAL = "optimal"
    # The gap that was asked for, or a time limit, ended the search; bound and gap say how good it is.
    FEASIBLE = "feasible"
    INFEASIBLE = "infeasible"


@dataclass(frozen=True, slots=True)
class SolveResult:
    """The answer of a solve.

    Parameters
    ----------
    choice, objective, bound
        None if there is no plan. No plan's objective is below the bound.
    variables, constraints
        Of the last integer program that was solved; 0 where none was needed.

    Examples
    --------
    >>> SolveResult(SolveStatus.FEASIBLE, Choice((0,)), 2.0, 1.5, 0.1, "highs", 4, 5).gap
    0.25
    """

    status: SolveStatus
    choice: Choice | None
    objective: float | None
    bound: float | None
    runtime_s: float
    solver: str
    variables: int
    constraints: int

    @property
    def gap(self) -> float | None:
        """Distance of objective and bound, as a fraction of the objective; None without a plan."""
        if self.objective is None or self.bound is None:
            return None
        distance = max(0.0, self.objective - self.bound)
        return distance / self.objective if self.objective > 0 else 0.0


def replace_choice(result: SolveResult, choice: Choice, objective: float) -> SolveResult:
    """Return a result that answers with another choice; the bound stays what was proved.

    Parameters
    ----------
    objective
        Of that choice, under the costs that were solved for.

    Examples
    --------
    >>> best = SolveResult(SolveStatus.OPTIMAL, Choice((0,)), 1.0, 1.0, 0.1, "highs", 4, 5)
    >>> other = replace_choice(best, Choice((1,)), 1.25)
    >>> other.status.value, other.gap
    ('feasible', 0.2)
    """
    bound = objective if result.bound is None else min(result.bound, objective)
    close = objective - bound <= OPTIMAL_GAP * objective
    status = SolveStatus.OPTIMAL if close else SolveStatus.FEASIBLE
    return replace(result, choice=choice, objective=objective, bound=bound, status=status)
