"""Why there is no plan: which limits cannot hold together, and how far each would have to give way."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from planner.errors import SolverError
from planner.problem.cost_evaluation import evaluate
from planner.problem.placement_problem import PlacementProblem
from planner.problem.quantities import Limit, ObjectiveTerm
from planner.solver.result import SolveResult, SolveStatus
from planner.solver.solve import solve
from planner.solver.solver_options import Clock, SolverOptions
from planner.solver.structural_conflict import structural_causes

_MOST_CAUSES = 3  # in one sentence
_ENDING_SHARE = 0.04  # of the time, for what the last solve runs over
_LEAST_TIME_S = 0.05  # a solve of less is over before it begins


@dataclass(frozen=True, slots=True)
class LimitRelaxation:
    """A limit of a conflict, and the value at which it would no longer be one.

    Parameters
    ----------
    least
        The least value with which a plan exists if all other limits stay, in the quantity's unit; None if no
        value helps, or the solver ran out of time.
    proved
        Whether no lower one would do.
    """

    limit: Limit
    least: float | None
    proved: bool = True


@dataclass(frozen=True, slots=True)
class Conflict:
    """Limits that cannot hold together, while without any one of them the others can.

    Parameters
    ----------
    relaxations
        One per limit of the conflict; none if even without limits there is no plan.
    minimal
        False if the solver ran out of time on a part of the question: then fewer limits may conflict.
    causes
        Without limits in the conflict: what rules out every placement, in words; none if nothing does alone.
    """

    relaxations: tuple[LimitRelaxation, ...]
    minimal: bool = True
    causes: tuple[str, ...] = ()


def find_conflict(
    problem: PlacementProblem, options: SolverOptions, clock: Clock = time.perf_counter
) -> Conflict:
    """Return a minimal set of conflicting limits of a problem without a plan.

    A deletion filter (Chinneck and Dravnieks, "Locating minimal infeasible constraint sets in linear
    programs", ORSA Journal on Computing 3, 1991): a limit without which there is still no plan goes for good.

    Parameters
    ----------
    options
        How problems are solved, two per limit; the time limit is that of all together.
    clock
        Returns seconds. Where it jumps ahead, the explanation is cut short.
    """
    conflicting, minimal = list(problem.limits), True
    turns = _Turns(options, clock)
    # Without an objective a program ends with its first plan.
    for number, limit in enumerate(problem.limits):
        solves_left = len(problem.limits) - number + len(conflicting)
        fewer = [other for other in conflicting if other is not limit]
        without = replace(problem, limits=tuple(fewer), objective=())
        result = turns.solve(without, solves_left)
        if result is None:
            minimal = False
        elif result.status is SolveStatus.INFEASIBLE:
            conflicting = fewer
    if not conflicting:
        return Conflict((), minimal, structural_causes(problem))
    relaxations = []
    for number, limit in enumerate(conflicting):
        relaxations.append(_relax(problem, limit, turns, len(conflicting) - number))
    return Conflict(tuple(relaxations), minimal)


class _Turns:
    """Solves that share what is left of the time; none begins that may run over as far as an earlier one."""

    def __init__(self, options: SolverOptions, clock: Clock) -> None:
        self._options, self._clock = options, clock
        self._ends = clock() + options.time_limit_s * (1 - _ENDING_SHARE)
        self._overrun_s = 0.0

    def solve(self, problem: PlacementProblem, solves_left: int) -> SolveResult | None:
        """Return the answer of the next of some solves; None if time ended it, or would."""
        began = self._clock()
        share_s = max(0.0, self._ends - began) / solves_left
        if share_s < _LEAST_TIME_S or self._ends - began < self._overrun_s:
            return None
        try:
            return solve(problem, replace(self._options, time_limit_s=share_s), clock=self._clock)
        except SolverError:  # out of time without an answer
            return None
        finally:
            self._overrun_s = max(self._overrun_s, self._clock() - began - share_s)


def _relax(problem: PlacementProblem, limit: Limit, turns: _Turns, solves_left: int) -> LimitRelaxation:
    """Return the least value of a limited quantity under all other limits."""
    # Other limits on the same quantity go, too: they speak of the same value.
    relaxed = replace(problem.with_limit(limit.quantity, None), objective=(ObjectiveTerm(limit.quantity),))
    result = turns.solve(relaxed, solves_left)
    if result is None or result.choice is None:
        return LimitRelaxation(limit, None, proved=result is not None)
    least = evaluate(relaxed, result.choice).value(limit.quantity)
    return LimitRelaxation(limit, least, proved=result.status is SolveStatus.OPTIMAL)


def conflict_sentence(
    budgets: Sequence[str], alternatives: Sequence[str], *, minimal: bool = True, causes: Sequence[str] = ()
) -> str:
    """Return in one line which budgets conflict, and which others would do instead of one of them.

    Parameters
    ----------
    causes
        What rules out every placement, where no budget conflicts.

    Examples
    --------
    >>> conflict_sentence(["latency_ms: 5 ms", "memory_mib: 1 MiB"], ["latency_ms: 8 ms"])
    'latency_ms: 5 ms and memory_mib: 1 MiB cannot be kept together; latency_ms: 8 ms would do'
    """
    if not budgets and causes:
        rest = f"; and {len(causes) - _MOST_CAUSES} more such faults" if len(causes) > _MOST_CAUSES else ""
        return f"whatever the budgets: {'; '.join(causes[:_MOST_CAUSES])}{rest}"
    if not budgets:
        return (
            "whatever the budgets: what is fixed of the placement cannot be kept, a link is missing, or a "
            "path would come back to a device that has one visit"
        )
    together = f"{', '.join(budgets[:-1])} and {budgets[-1]}" if len(budgets) > 1 else budgets[0]
    text = f"{together} cannot be kept" + (" together" if len(budgets) > 1 else "")
    if not minimal:
        text += " (or fewer of them: the solver ran out of time)"
    return text + (f"; {', or '.join(alternatives)} would do" if alternatives else "")
