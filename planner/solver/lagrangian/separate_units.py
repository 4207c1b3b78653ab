"""Whether limits contradict each other, for graphs of any width: each unit is chosen by itself."""

from collections.abc import Callable
from dataclasses import replace

from planner.problem.placement_problem import PlacementProblem
from planner.solver.lagrangian.dual_bound import highest_bound
from planner.solver.lagrangian.dual_problem import LagrangianDual, Restriction
from planner.solver.lagrangian.elimination_order import Scope
from planner.solver.lagrangian.relaxation import LagrangianRelaxation

_PATIENT = 200  # rounds: of nothing but limits, most multipliers bound nothing
_BROKEN = 1e-6  # of limits by which a weighted sum of them is exceeded


class SeparateUnits(LagrangianRelaxation):
    """A weaker relaxation for any graph: each tensor is read by whatever options it is cheapest for.

    What is left is a choice for each vertex by itself.
    """

    def _seen(self, scope: Scope) -> Scope:
        return scope[:1]


def breaks_limits(problem: PlacementProblem, deadline: float, clock: Callable[[], float]) -> bool:
    """Return whether no plan keeps a sum of limits, each times a multiplier, of separate units."""
    dual = LagrangianDual(replace(problem, objective=()), clock, SeparateUnits)
    return highest_bound(dual, deadline, Restriction(), enough=_BROKEN, patience=_PATIENT).value > _BROKEN
