"""The best plan so far, found by heuristics or handed over, and what is left of the time to better it."""

import logging
import time
from collections.abc import Sequence
from math import inf

from planner.problem.cost_evaluation import evaluate, is_feasible
from planner.problem.placement_problem import Choice, PlacementProblem
from planner.solver.confirmation import LEAST_TIME_S
from planner.solver.heuristics.construct import construct
from planner.solver.heuristics.local_search import improve
from planner.solver.pipeline.pipeline_dp import PERIOD
from planner.solver.solver_options import Clock, SolverOptions

log = logging.getLogger(__name__)

SMALL = 400  # options of all vertices: one program over them is soon solved
_SEARCH_SHARE = 0.4  # of what is left of the time, for a first plan; as much again as that took betters it
_SEARCH_RATIO = 4.0  # times the seconds of the first bound that this may take at first
_LARGE = 10_000  # options of all vertices: to bound takes long, so that a plan is looked for first
_EARLY_SHARE, _EARLY_S = 0.4, 15.0  # of the time limit, and at most, for that
# Of the time limit, and times the seconds that pricing a plan takes: for what the last step runs over, and to
# price the answer; at most so much of the time limit.
_ENDING_SHARE, _ENDING_PRICINGS, _MOST_ENDING_SHARE = 0.02, 3.0, 0.2


class Incumbent:
    """The best plan so far, as far as the time limit lets it be bettered.

    Parameters
    ----------
    start_plans
        Choices to start from; those that break a limit are passed over.
    began
        Time from which on the time limit counts.
    """

    def __init__(
        self,
        problem: PlacementProblem,
        options: SolverOptions,
        start_plans: Sequence[Choice],
        clock: Clock,
        began: float,
    ) -> None:
        self._problem, self._options = problem, options
        self._clock, self._began = clock, began
        self.choice: Choice | None = None
        self.objective = inf
        self._pricing_s = inf  # least seconds that pricing a plan took; inf before the first
        self._is_constructed = False  # whether a first plan was looked for before anything else
        self.options_count = sum(len(vertex.options) for vertex in problem.vertices)
        for choice in start_plans:
            self.offer(choice)

    @property
    def good_enough(self) -> float:
        """A bound at which the best plan is proved to be as good as was asked for."""
        return self.objective * (1 - self._options.gap)

    def offer(self, choice: Choice) -> None:
        """Remember a plan if it keeps the limits and is better than the one at hand."""
        began = time.perf_counter()
        cost = evaluate(self._problem, choice)
        self._pricing_s = min(self._pricing_s, time.perf_counter() - began)
        if is_feasible(self._problem, cost):
            self.take(choice, cost.objective)

    def take(self, choice: Choice, objective: float) -> None:
        """Remember a plan of a known objective, within the limits, if it is better than the one at hand."""
        if objective < self.objective:
            self.choice, self.objective = choice, objective

    @property
    def spent_s(self) -> float:
        """Seconds that the search took so far."""
        return self._clock() - self._began

    @property
    def left_s(self) -> float:
        """Seconds that are left for the search; the time limit holds what ends it, too."""
        limit_s = self._options.time_limit_s
        pricing_s = 0.0 if self._pricing_s == inf else self._pricing_s
        ending_s = min(_ENDING_SHARE * limit_s + _ENDING_PRICINGS * pricing_s, _MOST_ENDING_SHARE * limit_s)
        return limit_s - ending_s - self.spent_s

    @property
    def least_time_s(self) -> float:
        """Seconds that a program has at least: without a plan, so that a short time limit may give one."""
        return LEAST_TIME_S if self.choice is None else 0.0

    @property
    def has_time(self) -> bool:
        """Whether there is time for one more program."""
        return self.left_s > -self.least_time_s

    def is_affordable(self, ratio: float) -> bool:
        """Return whether there is time for what takes so many times as long as to price a plan per option.

        Without a plan there is until time is over: what follows may find one.
        """
        if self.choice is None:
            return self.has_time
        options = self.options_count / len(self._problem.vertices)
        return ratio * options * self._pricing_s < self.left_s

    def construct(self, most_s: float = inf) -> None:
        """Look for a first plan, and for a better one near it."""
        now = self._clock()
        seconds = min(most_s, _SEARCH_SHARE * self.left_s)
        choice = self._constructed(now + seconds)
        if choice is not None:
            self.offer(improve(self._problem, choice, 2 * self._clock() - now, self._clock))

    def construct_soon(self) -> None:
        """Look for a first plan for some times as long as the search took so far."""
        self.construct(_SEARCH_RATIO * self.spent_s)

    def construct_first(self) -> None:
        """Look for a plan before anything that takes long, where it does; for a period for a good one.

        What alone takes as long as the best plan is left out of the relaxation: so a period's bound is as
        good as its plan.
        """
        if self._is_constructed:
            return
        self._is_constructed = True
        seconds = min(_EARLY_S, _EARLY_SHARE * self._options.time_limit_s)
        if any(term.quantity == PERIOD for term in self._problem.objective):
            if self.options_count > SMALL:
                self.construct(seconds / 2)  # to better it takes as long again
        elif self.choice is None and self.options_count >= _LARGE:
            self._constructed(self._clock() + seconds)

    def _constructed(self, deadline: float) -> Choice | None:
        """Return a first plan, remembered; None if none was found in time."""
        began = time.perf_counter()
        choice = construct(self._problem, deadline, self._clock)
        if choice is not None:
            self.offer(choice)
            log.info("constructed: %.9g in %.2f s", self.objective, time.perf_counter() - began)
        return choice

    def improve(self, share: float = 1.0) -> None:
        """Look for a better plan for a share of the time that is left: all of it if nothing follows."""
        if self.choice is not None:
            deadline = self._clock() + share * self.left_s
            self.offer(improve(self._problem, self.choice, deadline, self._clock))
