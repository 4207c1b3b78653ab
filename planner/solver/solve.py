"""Solves a placement problem to a proved optimum, or says how far from one the answer may be."""

import heapq
import itertools
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from math import inf

from planner.errors import OutOfTimeError, SolverError
from planner.problem.cost_evaluation import evaluate
from planner.problem.placement_problem import Choice, PlacementProblem
from planner.problem.quantities import CostMetric, ObjectiveTerm, Quantity
from planner.solver.confirmation import (
    LEAST_GAP,
    confirm,
)
from planner.solver.device_order import DeviceOrder, implied_order
from planner.solver.heuristics.filled_devices import filled_devices
from planner.solver.heuristics.incumbent import SMALL, Incumbent
from planner.solver.heuristics.nearby_options import nearby_options
from planner.solver.lagrangian.branching import Node, branch, union
from planner.solver.lagrangian.dual_bound import Bound, highest_bound, start_from
from planner.solver.lagrangian.dual_problem import LagrangianDual, Restriction
from planner.solver.lagrangian.kept_options import KeptOptions, options_within
from planner.solver.lagrangian.separate_units import breaks_limits
from planner.solver.lagrangian.serial_devices import SerialDevices
from planner.solver.pipeline.pipeline_dp import PERIOD, best_pipeline
from planner.solver.pipeline.pipeline_ideals import finished_sets
from planner.solver.pipeline.pipeline_passes import best_passes
from planner.solver.presolve.merge_units import merge_costless_units
from planner.solver.presolve.stage_windows import feasible_options
from planner.solver.presolve.unit_scaling import scale_units
from planner.solver.restricted_programs import RestrictedPrograms
from planner.solver.result import OPTIMAL_GAP, SolveResult, SolveStatus
from planner.solver.solver_options import Clock, SolverOptions

log = logging.getLogger(__name__)

_SMALLEST_GAP = 1e-9  # relative: what the solvers' tolerances can show; a gap of 0 means this
_SHORT_S = 2.0  # a time limit below which a plan is looked for before any bound, unless the problem is small
_PREPARED_SHARE = 0.1  # of the time limit, until the relaxation begins: more shows that its rounds take long
_BOUND_SHARE = 0.4  # of the time limit, for the relaxation where no plan is known: most is left for programs
_PASSES_SHARE = 0.1  # of the time limit, for the best plan of one stage per device and pass
_PIPELINE_SHARE = 0.2  # of the time limit, for the best plan of one stage per device
_SEQUENCE_SHARE = 0.45  # of the time limit, for the plan of least latency where a makespan is minimised
_SEQUENCE_GAP = 2e-3  # at which that may end
_OVERLAP_SHARE = 0.08  # of the time that is left then, for a plan near it whose stages overlap more
_BRANCH_SHARE = 0.85  # of the time limit, for the relaxation where a plan is known
_FEW = 120  # options that a better plan may have: one program over them is sooner solved than branched on
_FEW_SHARE = 0.05  # of the time that is left, for that
_FIRST_SHARE = 0.2  # of the time that is left, for that where no plan is known
# Seconds of the relaxation's tables, as a multiple of those of pricing one plan, per option of a vertex:
# pricing takes longer on a slow machine, too.
_TABLES_RATIO = 6.0
_NEARBY_SHARE = 0.3  # of the time so far, for programs around the best plan
_STEP_SHARE = 0.05  # of the time limit, for one of them
_HOPS = (1, 3, 8)  # tensors between a unit and one on whose device it may move
_NEAR = 0.01  # relative distance of a node's bound and the best plan at which a program closes it sooner
# How far above the bound, relatively, options are looked at first. The relaxation often is that tight; a
# greater reach makes the program larger, a smaller one makes a second program likely.
_REACH = 1e-3
_FEW_MORE = 3.0  # times as many options as within that, up to the best plan so far: then all at once
_FARTHER = 5.0  # times as far where that found no plan
_EXCLUDED_GAP = 0.5  # of the gap: below the best plan by less than is asked for, however numbers are rounded
_BISECTION_SHARE = 0.2  # of what is left of the time, for the bound that it gives


def solve(
    problem: PlacementProblem,
    options: SolverOptions | None = None,
    start_plans: Sequence[Choice] = (),
    clock: Clock = time.perf_counter,
) -> SolveResult:
    """Return the plan of least objective within the limits, with its proved bound.

    First a relaxation tells how good a plan with each option can be at best; then the integer program is
    solved over the options that are worth it, and once more over all that the answer leaves in doubt.
    What the solvers claim is confirmed: see `confirmation`.

    Parameters
    ----------
    start_plans
        Choices to start from, such as the plans of the same problem under other costs.
    clock
        Returns seconds. Where it jumps ahead, the search ends with the best plan so far.

    Returns
    -------
    SolveResult
        With status INFEASIBLE and no choice if there is no plan.

    Raises
    ------
    SolverError
        If the solver is unknown, ends without an answer, or answers with a plan that breaks a limit.
    """
    began, began_s = clock(), time.perf_counter()
    options = options or SolverOptions()
    options = replace(options, gap=max(options.gap, _SMALLEST_GAP))
    scaled = scale_units(merge_costless_units(problem))
    search = _Search(scaled.problem, options, start_plans, clock, began)
    result = search.run()
    result = confirm(scaled.problem, options, result, search.dual_value, clock)
    result = replace(result, runtime_s=time.perf_counter() - began_s)
    if result.choice is None or result.objective is None or result.bound is None:
        return result
    objective = evaluate(problem, result.choice).objective
    return replace(result, objective=objective, bound=min(result.bound * scaled.objective, objective))


class _Search:
    """The search for a plan and its bound, within the time limit."""

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
        self._best = Incumbent(problem, options, start_plans, clock, began)
        self._programs = RestrictedPrograms(problem, options, self._best, clock)
        self._looked_at: Choice | None = None  # the plan around which a better one was looked for
        self._nearby_s = 0.0  # seconds spent on that
        self.dual_value: float | None = None  # what the relaxation proves; None if it proves nothing
        self._serial: SerialDevices | None = None  # branches where a makespan is minimised
        self.root: Bound | None = None  # of all plans
        self._in_sequence: Bound | None = None  # the same where all that runs is added up
        self._excluded_from = inf  # the objective from which on plans are no longer looked for
        # Of the whole problem: with some options left out, interchangeable devices differ.
        self._device_order = implied_order(problem)

    def run(self) -> SolveResult:
        """Bound, then solve over more and more options until none that is left out can be better."""
        weights = [(term.quantity == PERIOD) * term.weight for term in self._problem.objective]
        bound_of_loads = sum(weights) * self._bound_of_pipelines()
        if bound_of_loads >= self._best.good_enough:
            return self._result(bound_of_loads)
        self._best.construct_first()
        if CostMetric.MAKESPAN in {quantity.metric for quantity in self._problem.quantities}:
            for choice in filled_devices(self._problem):
                self._best.offer(choice)
            self._start_in_sequence()
            self._best.improve(_OVERLAP_SHARE)
        if not self._best.is_affordable(_TABLES_RATIO):
            self._best.improve()
            return self._result(bound_of_loads)
        dual = self._prepared_dual()
        if dual is None:
            return self._result(bound_of_loads)
        if not dual.is_worth_while:
            return self._result(max(self._solve_at_once(), bound_of_loads))
        if self._best.choice is not None and len(weights) == 1 and weights[0] > 0:
            # Plans with any other option are no better than the one at hand.
            kept = feasible_options(self._problem, self._best.objective / weights[0])
            dual.exclude_options(kept)
        return self._result(max(self._branch(dual), bound_of_loads))

    def _prepared_dual(self) -> LagrangianDual | None:
        """Return the relaxation; None where a round of it takes longer than is left, once there is a plan."""
        is_short = self._options.time_limit_s < _SHORT_S and self._best.options_count > SMALL
        if self._best.choice is None and is_short:
            self._best.construct()
        prepared_until = self._began + _PREPARED_SHARE * self._options.time_limit_s
        dual = LagrangianDual(self._problem, self._clock, prepared_until=prepared_until)
        late_s = self._clock() - prepared_until
        if self._best.choice is None and late_s > 0:
            self._best.construct()
            if self._best.choice is not None and late_s > self._best.left_s:
                self._best.improve()
                return None
        return dual

    def _bound_of_pipelines(self) -> float:
        """Return seconds that no plan has a shorter period than; take the best plan of one stage per device.

        Where these are too many to look at all, plans of some are of use only if no better search has one.
        """
        if PERIOD not in self._problem.quantities:
            return 0.0
        sets = finished_sets(self._problem)
        is_revisited = any(device.visit_of is not None for device in self._problem.devices)
        if is_revisited or not sets.are_all:
            passes_s = _PASSES_SHARE * self._options.time_limit_s
            in_passes = best_passes(self._problem, passes_s, self._clock)
            if in_passes is not None:
                self._best.offer(in_passes)
        if not sets.are_all:
            self._best.construct_first()
        if self._best.choice is not None and not sets.are_all:
            return 0.0
        most_s = _PIPELINE_SHARE * self._options.time_limit_s
        pipeline = best_pipeline(self._problem, most_s, self._clock, sets)
        if pipeline is None:
            return 0.0
        self._best.offer(pipeline.choice)
        log.info("pipeline: %.9g, bound %.9g", pipeline.period_s, pipeline.bound_s)
        return pipeline.bound_s

    def _solve_at_once(self) -> float:
        """Solve over all options, without a relaxation; return the proved bound."""
        if self._best.choice is None and self._breaks_limits():
            return inf
        if self._best.choice is None:
            self._best.construct()
        if not self._programs.are_affordable(self._every_option):
            self._best.improve()
            return 0.0
        return self._programs.solve(self._every_option, self._device_order)

    @property
    def _every_option(self) -> list[tuple[int, ...]]:
        return [tuple(range(len(vertex.options))) for vertex in self._problem.vertices]

    def _branch(self, dual: LagrangianDual) -> float:
        """Branch on the order of devices and on units' devices, best bound first; return the proved bound.

        Where the relaxation does not ask for further branches, an integer program solves what is left.
        """
        whole = Restriction(self._device_order)
        if dual.paths is not None:
            self._serial = SerialDevices(self._problem, dual.paths.graph)
            self._programs.serial_devices = self._serial
        root = self._bounded(dual, whole)
        settled = self._bound_before_branching(dual, root)
        if settled >= self._best.good_enough:
            return settled
        nodes, closed, count = [(root.bound.value, 0, root)], inf, 1
        while nodes and self._is_open(max(nodes[0][0], settled)):
            _, _, node = heapq.heappop(nodes)
            further = self._expanded(dual, node)
            for child in further:
                heapq.heappush(nodes, (child.bound.value, count, child))
                count += 1
            if further:
                self._look_nearby(node)
            else:
                closed = min(closed, self._solve_node(node))
        log.info("%d nodes, %d open, best plan %.9g", count, len(nodes), self._best.objective)
        if settled >= self._best.good_enough:
            return settled
        closed = min(closed, self._solve_open(whole, [node for _, _, node in nodes]))
        if self._programs.size == (0, 0):
            self._end_without_programs(closed)
        return max(min(closed, self._excluded_from), settled)

    def _is_open(self, bound: float) -> bool:
        """Return whether plans of a bound are worth a branch, and there is time for it."""
        return bound < self._best.good_enough and self._clock() < self._branching_ends

    def _end_without_programs(self, bound: float) -> None:
        """Say that the relaxation alone had a say; better the plan where it is not good enough."""
        if self._best.choice is None:
            self.dual_value = inf
        elif bound < self._best.good_enough:
            self._best.improve()

    def _bounded(self, dual: LagrangianDual, whole: Restriction) -> Node:
        """Return the node of all plans, once a first plan was looked for."""
        if self._best.choice is None and self._are_excludable(dual):
            self._best.construct_soon()
        root = Node(whole, self._bound_of_better(dual, whole, start_from(dual, self._in_sequence)))
        self.root = root.bound
        self.dual_value = root.bound.value
        if self._best.choice is None and root.bound.value < inf:
            # Small problems are solved sooner than searched.
            self._best.construct_soon()
        return root

    def _bound_of_better(self, dual: LagrangianDual, whole: Restriction, start: Bound | None) -> Bound:
        """Return the bound on all plans that are better than the best one, which may be met meanwhile."""
        while True:
            objective = self._best.objective
            self._exclude_worse(dual)
            bound = highest_bound(dual, self._branching_ends, whole, start, enough=self._best.good_enough)
            log.info("relaxation: bound %.9g in %d rounds", bound.value, bound.rounds)
            self._take_best_of(dual)
            # Where a better plan leaves more out, the bound rises once more.
            better = self._are_excludable(dual) and self._best.objective < objective * (1 - self._options.gap)
            if not better or bound.value >= self._best.good_enough or self._clock() > self._branching_ends:
                return bound
            start = bound

    def _bound_before_branching(self, dual: LagrangianDual, root: Node) -> float:
        """Return what else bounds all plans: none was met, single loads tell them apart, or few are left."""
        bound = 0.0
        if self._best.choice is None and root.bound.value < inf:
            bound = self._bound_without_plan()
        if self._are_excludable(dual) and bound < self._best.good_enough:
            bound = max(bound, self._least_possible(dual, root))
        if bound < self._best.good_enough:
            bound = max(bound, self._bound_of_few(root))
        return bound

    def _bound_without_plan(self) -> float:
        """Return a bound where no plan was met: infinite if it is soon seen that there is none."""
        if self._breaks_limits():
            return inf
        if self._best.options_count > SMALL:
            return 0.0
        return self._programs.solve(self._every_option, self._device_order, _FIRST_SHARE * self._best.left_s)

    def _bound_of_few(self, root: Node) -> float:
        """Return what one program proves over the few options that a better plan may have; 0 if not so few.

        Programs for makespans bound so little that branches are sooner done.
        """
        option_bounds = root.bound.option_bounds
        if self._best.choice is None or self._serial is not None or not option_bounds:
            return 0.0
        kept = options_within(option_bounds, self._best.objective)
        if kept.count > _FEW:
            return 0.0
        return self._solve_kept(root, kept, _FEW_SHARE * self._best.left_s)

    def _solve_kept(self, node: Node, kept: KeptOptions, most_s: float = inf) -> float:
        """Solve over some options of a node's plans; return a bound on all its plans."""
        bound = self._programs.solve(kept.options, node.within.order, most_s, node.within.serial)
        # A plan with an option that was left out is no better than this.
        return min(bound, kept.bound_of_rest)

    def _breaks_limits(self) -> bool:
        """Return whether the relaxation of separate units proves that there is no plan."""
        if breaks_limits(self._problem, self._branching_ends, self._clock):
            self.dual_value = inf
        return self.dual_value == inf

    def _least_possible(self, dual: LagrangianDual, root: Node) -> float:
        """Return a value that no plan is below: bisected, as without what alone reaches it there is none."""
        least, tried = min(root.bound.value, self._excluded_from), self._best.good_enough
        deadline = self._clock() + _BISECTION_SHARE * self._best.left_s
        while least < tried < inf and self._clock() < deadline:
            middle = (least + tried) / 2
            below = dual.below(middle)
            least = max(
                least, min(middle, highest_bound(below, deadline, root.within, root.bound, middle).value)
            )
            self._take_best_of(below)
            tried = min(tried if least >= middle else middle, self._best.good_enough)
            if tried - least <= self._options.gap * tried:
                break
        log.info("without what alone is too much: bound %.9g", least)
        return least

    def _exclude_worse(self, dual: LagrangianDual) -> None:
        """Leave plans to the relaxation that are worth looking for, where a maximum tells them apart."""
        worse_from = self._best.objective * (1 - _EXCLUDED_GAP * self._options.gap)
        if self._are_excludable(dual) and worse_from < self._excluded_from:
            self._excluded_from = worse_from
            dual.exclude_from(worse_from)

    def _are_excludable(self, dual: LagrangianDual) -> bool:
        """Return whether single loads tell plans apart: those of periods do, of makespans paths do."""
        return bool(dual.maxima) and dual.paths is None

    def _solve_open(self, whole: Restriction, nodes: Sequence[Node]) -> float:
        """Solve what time left open, as one program; return a bound on all plans of the nodes."""
        lowest = min((node.bound.value for node in nodes), default=inf)
        if lowest < inf and self._best.choice is None:
            self._best.construct()
        open_nodes = [node for node in nodes if node.bound.value < self._best.good_enough]
        if not open_nodes or self._programs.is_distrusted:
            return lowest
        rest = (node.bound.value for node in nodes if node.bound.value >= self._best.good_enough)
        return min(self._solve_node(union(whole, open_nodes)), min(rest, default=inf))

    @property
    def _branching_ends(self) -> float:
        """Time after which integer programs have what is left: sooner where no plan is known."""
        share = _BOUND_SHARE if self._best.choice is None else _BRANCH_SHARE
        return self._began + self._options.time_limit_s * share

    def _expanded(self, dual: LagrangianDual, node: Node) -> tuple[Node, ...]:
        """Return the nodes into which a node falls; none if an integer program is to solve it."""
        if node.bound.value > self._best.objective * (1 - _NEAR):
            return ()
        self._exclude_worse(dual)
        further = tuple(branch(dual, node, self._branching_ends, self._best.good_enough, self._serial))
        self._take_best_of(dual)
        return further

    def _take_best_of(self, dual: LagrangianDual) -> None:
        if dual.best is not None:
            self._best.offer(dual.best)

    def _look_nearby(self, node: Node) -> None:
        """Let integer programs look for a better plan around the best one, and among those of a mixture."""
        if self._best.choice is not None and self._looked_at != self._best.choice:
            self._looked_at = self._best.choice
            order = evaluate(self._problem, self._best.choice).order or ()
            pairs = frozenset(itertools.combinations(order, 2))
            for hops in _HOPS:
                self._look_among([self._best.choice.options], hops, pairs)
        self._look_among([mixed.options for mixed in node.bound.mixture], 0, node.within.order)

    def _look_among(self, plans: Sequence[Sequence[int]], hops: int, order: DeviceOrder) -> None:
        began = self._clock()
        is_spent = self._nearby_s > _NEARBY_SHARE * (began - self._began)
        if is_spent or self._programs.is_distrusted or not plans:
            return
        keep = nearby_options(self._problem, plans, hops)
        if not self._programs.are_affordable(keep):
            return
        self._programs.solve(keep, order, _STEP_SHARE * self._options.time_limit_s)
        self._nearby_s += self._clock() - began

    def _solve_node(self, node: Node) -> float:
        """Solve over more and more options of an order's plans until none left out can be better.

        Returns a bound on all plans of the node that are better than the one at hand.
        """
        value, option_bounds = node.bound.value, node.bound.option_bounds
        reach = value + max(_REACH, self._options.gap) * abs(value)
        options_in_reach, options_below_best = (
            options_within(option_bounds, limit).count for limit in (reach, self._best.objective)
        )
        # Hardly more options can be in a better plan than the best one known: all of them at once.
        if self._options.gap < _REACH and options_below_best <= _FEW_MORE * options_in_reach:
            reach = max(reach, self._best.objective)  # one program then proves the answer
        while True:
            kept = options_within(option_bounds, reach)
            if not self._programs.are_affordable(kept.options):
                return value
            bound = self._solve_kept(node, kept)
            if bound >= self._best.good_enough or self._best.left_s <= 0 or self._programs.is_distrusted:
                return max(bound, value)
            # Options beyond the best plan so far are of no use; without one, look farther.
            farther = max(kept.bound_of_rest, value + _FARTHER * (reach - value))
            farther = farther if self._best.choice is None else max(self._best.objective, reach)
            if farther == reach:  # the same program again: a solver's tolerance may be wider than the gap
                return max(bound, value)
            reach = farther

    def _start_in_sequence(self) -> None:
        """Start from the plan of least latency, where stages may overlap.

        The relaxation bounds sums only, so that a makespan has no start from it.
        """
        limits = tuple(x for x in self._problem.limits if x.quantity.metric is not CostMetric.MAKESPAN)
        latency = (ObjectiveTerm(Quantity(CostMetric.LATENCY)),)
        options = replace(
            self._options,
            time_limit_s=self._options.time_limit_s * _SEQUENCE_SHARE,
            gap=max(self._options.gap, _SEQUENCE_GAP),
        )
        began = self._clock()
        scaled = scale_units(replace(self._problem, limits=limits, objective=latency)).problem
        search = _Search(scaled, options, (), self._clock, began)
        try:
            sequential = search.run()
        except SolverError:
            return
        finally:
            self._in_sequence = search.root
        if sequential.choice is not None:
            self._best.offer(sequential.choice)

    def _result(self, bound: float) -> SolveResult:
        runtime_s = self._clock() - self._began
        variables, constraints = self._programs.size
        run_facts = (runtime_s, self._options.name, variables, constraints)
        if self._best.choice is None:
            if bound == inf:
                return SolveResult(SolveStatus.INFEASIBLE, None, None, None, *run_facts)
            raise OutOfTimeError(f"{self._options.name} found no plan within the time limit")
        bound = float(min(max(bound, 0.0), self._best.objective))  # costs are not negative
        close = self._best.objective - bound <= OPTIMAL_GAP * abs(self._best.objective) + LEAST_GAP
        status = SolveStatus.OPTIMAL if close else SolveStatus.FEASIBLE
        return SolveResult(status, self._best.choice, self._best.objective, bound, *run_facts)


def solve_restricted(
    problem: PlacementProblem,
    keep: Sequence[Sequence[int]],
    options: SolverOptions,
    solver: Callable[[PlacementProblem, SolverOptions], SolveResult] = solve,
) -> SolveResult:
    """Solve with some options of each vertex only, by their numbers; the choice is one of the whole problem.

    Raises
    ------
    SolverError
        As `solve` does.
    """
    result = solver(problem.with_options(keep), options)
    return replace(result, choice=None if result.choice is None else result.choice.lift_to_full(keep))
