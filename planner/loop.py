"""The closed loop: the plan is built and timed in place, and solved again with the costs that it showed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from planner.compose import Chosen, Question, chosen_by
from planner.evaluate import evaluate
from planner.ilp import with_choice
from planner.measure import origin_of
from planner.plan import LoopRound
from planner.problem import Choice, PlacementProblem
from planner.tighten import Tightened, Tightening
from profiling.precision import Precision
from profiling.profile import LatencyProfile
from profiling.refine import InPlace, refine

MOST_ROUNDS = 3  # plans that are timed


@dataclass(frozen=True, slots=True)
class Closed:
    """What the loop ended with: costs under which the plan was timed, and the rounds."""

    question: Question
    tightened: Tightened
    latency: Mapping[str, LatencyProfile]
    rounds: tuple[LoopRound, ...]


def close_loop(
    ask: Callable[[Mapping[str, LatencyProfile]], Question],
    latency: Mapping[str, LatencyProfile],
    tightening: Callable[[PlacementProblem], Tightening],
    time_in_place: Callable[[Chosen], Mapping[str, InPlace]],
) -> Closed:
    """Solve and time until the plan repeats or three were timed; of those, the best one stays.

    Parameters
    ----------
    ask
        What is to be solved, given each device's profile.
    tightening
        The search for a plan that keeps the error budgets.
    time_in_place
        Builds a plan's whole model and times it: device -> what came of it, for devices that run here.
    """
    timed: list[_Timed] = []
    rounds: list[LoopRound] = []
    search: Tightening | None = None
    while True:
        question = ask(latency)
        problem = question.formulate()
        search = search or tightening(problem)
        tightened = search.solve(problem)
        closed = Closed(question, tightened, latency, tuple(rounds))
        choice = tightened.result.choice
        if choice is None or tightened.unmet or (timed and choice == timed[-1].choice):
            return closed
        if len(timed) == MOST_ROUNDS or choice in [one.choice for one in timed]:
            break
        chosen = chosen_by(problem, choice)
        found = time_in_place(chosen)
        if not found:
            return closed
        latency = _refined(latency, found)
        own = evaluate(ask(latency).formulate(), choice).objective
        one = _Timed(choice, chosen, found, own)
        expected = question.chain_ratio_to_fp32(problem, evaluate(problem, choice))
        rounds.append(_round(question, one, timed[-1].chosen if timed else chosen, expected))
        timed.append(one)
    best = min(timed, key=lambda one: one.objective)
    latency = _refined(latency, best.found)
    question = ask(latency)
    proved = search.prove(question.formulate())
    objective = evaluate(proved.problem, best.choice).objective
    tightened = replace(proved, result=with_choice(proved.result, best.choice, objective))
    return Closed(question, tightened, latency, tuple(rounds))


@dataclass(frozen=True, slots=True)
class _Timed:
    """A plan, what timing it showed, and its objective with the costs that it showed."""

    choice: Choice
    chosen: Chosen
    found: Mapping[str, InPlace]
    objective: float


def _refined(
    latency: Mapping[str, LatencyProfile], found: Mapping[str, InPlace]
) -> dict[str, LatencyProfile]:
    return {name: refine(one, found[name]) if name in found else one for name, one in latency.items()}


def _round(question: Question, one: _Timed, before: Chosen, chain_ratio: float) -> LoopRound:
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


def _units(chosen: Chosen) -> list[tuple[str, Precision]]:
    return list(zip(chosen.devices, chosen.precisions, strict=True))
