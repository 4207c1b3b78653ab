"""What came of a solve."""

from dataclasses import dataclass, replace
from enum import StrEnum

from planner.problem.placement_problem import Choice

_OPTIMAL_GAP = 1e-4  # a wider gap is called feasible, whatever the solver calls it


class SolveStatus(StrEnum):
    """What is known about a solve."""

    OPTIMAL = "optimal"
    FEASIBLE = "feasible"  # a time limit ended the search; bound and gap say how good it is
    INFEASIBLE = "infeasible"


@dataclass(frozen=True, slots=True)
class SolveResult:
    """The answer; `choice` is None when there is no plan."""

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
        """Relative distance of objective and bound."""
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
    """
    bound = objective if result.bound is None else min(result.bound, objective)
    close = objective - bound <= _OPTIMAL_GAP * objective
    status = SolveStatus.OPTIMAL if close else SolveStatus.FEASIBLE
    return replace(result, choice=choice, objective=objective, bound=bound, status=status)
