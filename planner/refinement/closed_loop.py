"""The closed loop: the plan is built and timed in place, and solved again with the costs that it showed.

Everything in one precision is timed as well where it may be as good, so that no slower plan is delivered.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from planner.devices.runtime import origin_of
from planner.plan.configuration import Configuration, configuration_of
from planner.plan.records import LoopRound
from planner.problem.cost_evaluation import evaluate
from planner.problem.placement_problem import Choice, PlacementProblem
from planner.refinement.noise_limit_search import Tightened, Tightening
from planner.refinement.question import PlanningProblem
from profiling.latency.plan_corrections import PlanTiming, apply_corrections
from profiling.precision import Precision
from profiling.records.profile import LatencyProfile

MOST_ROUNDS = 3  # plans that are solved for and timed
_NEAR = 1.1  # times the best objective: what is predicted to be farther off is not timed

Ask = Callable[[Mapping[str, LatencyProfile]], PlanningProblem]
TimeInPlace = Callable[[Configuration], Mapping[str, PlanTiming]]


@dataclass(frozen=True, slots=True)
class Closed:
    """What the loop ended with: costs under which the plan was timed, and the rounds."""

    question: PlanningProblem
    tightened: Tightened
    latency: Mapping[str, LatencyProfile]
    rounds: tuple[LoopRound, ...]


def close_loop(
    ask: Ask,
    latency: Mapping[str, LatencyProfile],
    tightening: Callable[[PlacementProblem], Tightening],
    time_in_place: TimeInPlace,
) -> Closed:
    """Solve and time until the plan repeats or three were timed, then time plans in one precision.

    Of all that were timed, the best one stays.

    Parameters
    ----------
    ask
        What is to be solved, given each device's profile.
    tightening
        The search for a plan that keeps the error budgets.
    time_in_place
        Builds a plan's whole model and times it: device -> what came of it, for devices that run here.
    """
    loop = _Loop(ask, time_in_place, latency)
    search: Tightening | None = None
    while True:
        question = ask(loop.latency)
        problem = question.formulate()
        search = search or tightening(problem)
        tightened = search.solve(problem)
        choice = tightened.result.choice
        solved = Closed(question, tightened, loop.latency, tuple(loop.rounds))
        if choice is None or tightened.unmet:
            return solved
        if len(loop.timed) == MOST_ROUNDS or loop.knows(choice):
            break
        if not loop.time(question, problem, choice):
            return solved
        loop.latency = loop.timed[-1].latency
    last = loop.timed[-1]
    for result in search.uniform_plans(problem, _NEAR * loop.best.objective):
        if result.choice is not None and not loop.knows(result.choice):
            loop.time(question, problem, result.choice)
    best = loop.best
    if best is last and choice == last.choice:  # it is proved under the costs that it showed
        return Closed(question, tightened, loop.latency, tuple(loop.rounds))
    latency = _refined(loop.latency, best.found)
    question = ask(latency)
    return Closed(question, search.prove(question.formulate(), best.choice), latency, tuple(loop.rounds))


@dataclass(frozen=True, slots=True)
class _Timed:
    """A plan, what timing it showed, the costs that follow, and its objective under them."""

    choice: Choice
    chosen: Configuration
    found: Mapping[str, PlanTiming]
    latency: Mapping[str, LatencyProfile]
    objective: float


class _Loop:
    """The costs that are believed, and the plans that were timed."""

    def __init__(self, ask: Ask, time_in_place: TimeInPlace, latency: Mapping[str, LatencyProfile]) -> None:
        self._ask, self._time_in_place = ask, time_in_place
        self.latency = latency
        self.timed: list[_Timed] = []
        self.rounds: list[LoopRound] = []

    @property
    def best(self) -> _Timed:
        """The best plan so far; there has to be one."""
        return min(self.timed, key=lambda one: one.objective)

    def knows(self, choice: Choice) -> bool:
        """Return whether a plan was timed."""
        return any(one.choice == choice for one in self.timed)

    def time(self, question: PlanningProblem, problem: PlacementProblem, choice: Choice) -> bool:
        """Time a plan; False if none of its devices runs here."""
        chosen = configuration_of(problem, choice)
        found = self._time_in_place(chosen)
        if not found:
            return False
        latency = _refined(self.latency, found)
        own = evaluate(self._ask(latency).formulate(), choice).objective
        before = self.timed[-1].chosen if self.timed else chosen
        self.timed.append(_Timed(choice, chosen, found, latency, own))
        expected = question.chain_ratio_to_fp32(problem, evaluate(problem, choice))
        self.rounds.append(_round(question, self.timed[-1], before, expected))
        return True


def _refined(
    latency: Mapping[str, LatencyProfile], found: Mapping[str, PlanTiming]
) -> dict[str, LatencyProfile]:
    return {
        name: apply_corrections(one, found[name]) if name in found else one for name, one in latency.items()
    }


def _round(question: PlanningProblem, one: _Timed, before: Configuration, chain_ratio: float) -> LoopRound:
    source = question.scenario.device(question.scenario.source)
    origin = origin_of(question.scenario, source)[0].name
    device = origin if origin in one.found else next(iter(one.found))
    return LoopRound(
        objective=one.objective,
        device=device,
        predicted_ratio_to_fp32=question.ratio_to_fp32(one.chosen, device),
        measured_ratio_to_fp32=one.found[device].ratio_to_fp32,
        predicted_chain_ratio_to_fp32=chain_ratio,
        measured_chain_ratio_to_fp32=one.found[device].chain_ratio_to_fp32,
        changed_units=sum(a != b for a, b in zip(_units(one.chosen), _units(before), strict=True)),
    )


def _units(chosen: Configuration) -> list[tuple[str, Precision]]:
    return list(zip(chosen.devices, chosen.precisions, strict=True))
