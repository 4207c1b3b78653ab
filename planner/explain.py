"""Why there is no plan: which budgets cannot hold together, and how far each would have to give way."""

from dataclasses import dataclass, replace
from math import ceil, floor, log10

from planner.budgets import wording_of
from planner.errors import SolverError
from planner.evaluate import evaluate
from planner.ilp import SolveResult, SolveStatus, solve
from planner.law import NoiseLaw
from planner.problem import Limit, Measure, PlacementProblem, Term
from planner.scenario import Scenario
from planner.solvers import SolverOptions

_DIGITS = 4  # of a budget that would do, rounded up


@dataclass(frozen=True, slots=True)
class Relaxation:
    """A limit that stands in the way.

    Parameters
    ----------
    least
        The least that the limit would have to be if all others stay; None if that alone does not help,
        or the solver ran out of time.
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
        One per limit; none if even without limits there is no plan.
    minimal
        False if the solver ran out of time on a part of the question: then fewer limits may conflict.
    """

    relaxations: tuple[Relaxation, ...]
    minimal: bool = True


def find_conflict(problem: PlacementProblem, options: SolverOptions) -> Conflict:
    """Return a minimal set of conflicting limits of a problem without a plan.

    A deletion filter (Chinneck and Dravnieks, "Locating minimal infeasible constraint sets in linear
    programs", ORSA Journal on Computing 3, 1991): a limit without which there is still no plan goes for good.
    """
    kept, minimal = list(problem.limits), True
    for limit in problem.limits:
        fewer = [one for one in kept if one is not limit]
        found = _solve(replace(problem, limits=tuple(fewer), objective=()), options)
        if found is None:
            minimal = False
        elif found.status is SolveStatus.INFEASIBLE:
            kept = fewer
    return Conflict(tuple(_relax(problem, limit, options) for limit in kept), minimal)


def _relax(problem: PlacementProblem, limit: Limit, options: SolverOptions) -> Relaxation:
    """Return the least value of a limited quantity under all other limits."""
    relaxed = replace(problem.limited(limit.quantity, None), objective=(Term(limit.quantity),))
    found = _solve(relaxed, options)
    if found is None or found.choice is None:
        return Relaxation(limit, None, proved=found is not None)
    least = evaluate(relaxed, found.choice).value(limit.quantity)
    return Relaxation(limit, least, proved=found.status is SolveStatus.OPTIMAL)


def _solve(problem: PlacementProblem, options: SolverOptions) -> SolveResult | None:
    try:
        return solve(problem, options)
    except SolverError:  # out of time without an answer
        return None


def conflict_text(scenario: Scenario, conflict: Conflict, law: NoiseLaw) -> str:
    """Return why there is no plan, in the scenario's own keys and units."""
    if not conflict.relaxations:
        return "infeasible whatever the budgets: what is fixed of the placement cannot be kept"
    parts = [_limit_text(scenario, one, law) for one in conflict.relaxations]
    if len(parts) == 1:
        text = f"{parts[0]} cannot be kept"
    else:
        text = f"{', '.join(parts[:-1])} and {parts[-1]} cannot be kept together"
    if not conflict.minimal:
        text += " (or fewer of them: the solver ran out of time)"
    ways = [way for one in conflict.relaxations if (way := _way_text(scenario, one, law))]
    return f"infeasible at the measured costs: {text}" + (f"; {', or '.join(ways)} would do" if ways else "")


def _limit_text(scenario: Scenario, one: Relaxation, law: NoiseLaw) -> str:
    key, value = _in_words(scenario, one, one.limit.at_most, law)
    return f"{key}: {value:.6g}"


def _way_text(scenario: Scenario, one: Relaxation, law: NoiseLaw) -> str | None:
    if one.least is None:
        return None
    key, value = _in_words(scenario, one, one.least, law)
    least = one.limit.quantity.measure is Measure.PERIOD  # a throughput has to fall
    enough = 1 / _round_up(1 / value) if least and value else _round_up(value)
    return f"{key}: {enough:.10g}" + ("" if one.proved else " (or closer to the budget)")


def _in_words(scenario: Scenario, one: Relaxation, value: float, law: NoiseLaw) -> tuple[str, float]:
    """Return the key of a budget, and a value in its unit."""
    wording = wording_of(scenario, one.limit.quantity)
    if one.limit.quantity.measure is Measure.NOISE:
        value = law.power(value)
    return wording.key, wording.in_unit(value)


def _round_up(value: float) -> float:
    """Return a short number that is hardly greater."""
    if value <= 0:
        return 0.0
    step = 10.0 ** (floor(log10(value)) + 1 - _DIGITS)
    return ceil(value / step) * step
