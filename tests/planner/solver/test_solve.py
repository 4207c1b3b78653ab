import importlib.util
import logging
import math
import time
from collections import Counter
from contextlib import suppress
from dataclasses import replace

import oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_problems import (
    ENDLESS_PRESOLVE,
    LATENCY,
    NOISE,
    forms,
    mesh,
    problem_that_cbc_misjudges,
    small_problem,
)
from strategies import problems

from planner.errors import OutOfTimeError, ProblemError, SolverError
from planner.problem.cost_evaluation import evaluate, is_feasible
from planner.problem.devices import Device
from planner.problem.placement_problem import Choice, PlacementProblem
from planner.problem.quantities import CostMetric, Limit, ObjectiveTerm, Quantity
from planner.problem.tensors import Flow
from planner.problem.units import Option, Vertex
from planner.solver.lagrangian.relaxation import LagrangianRelaxation
from planner.solver.result import SolveStatus
from planner.solver.solve import solve
from planner.solver.solver_options import SolverOptions

FREE = replace(small_problem(), limits=(), together=(), apart=())


@settings(max_examples=100, deadline=None)
@given(problems())
def test_the_solver_finds_what_enumeration_finds(problem):
    result, best = solve(problem), oracle.best(problem)
    if best is None:
        assert result.status is SolveStatus.INFEASIBLE
        assert result.choice is None
        return
    assert result.status is SolveStatus.OPTIMAL
    assert result.objective == pytest.approx(best, rel=1e-7, abs=1e-9)
    assert result.bound == pytest.approx(best, rel=1e-6, abs=1e-8)
    assert oracle.feasible(problem, oracle.price(problem, result.choice))


class JumpingClock:
    """Seconds that are far ahead after so many looks, as after an interrupt."""

    def __init__(self, looks: int) -> None:
        self.looks = looks

    def __call__(self) -> float:
        self.looks -= 1
        return time.perf_counter() + 1e9 * (self.looks < 0)


@settings(max_examples=30, deadline=None)
@given(problems(max_units=4), st.integers(0, 200))
def test_a_search_that_is_cut_short_says_nothing_that_is_wrong(problem, looks):
    best = oracle.best(problem)
    try:
        result = solve(problem, clock=JumpingClock(looks))
    except OutOfTimeError:
        return
    assert (result.choice is None) == (best is None)
    if best is not None:
        assert oracle.feasible(problem, oracle.price(problem, result.choice))
        assert result.bound <= best * (1 + 1e-6) + 1e-9
        assert result.runtime_s < 1e6  # the jump is no time that passed


def test_a_search_that_is_cut_short_keeps_the_plan_at_hand():
    best = solve(FREE)
    result = solve(FREE, start_plans=[best.choice], clock=JumpingClock(1))
    assert result.objective == pytest.approx(best.objective)
    assert result.bound <= best.objective


@settings(max_examples=20, deadline=None)
@given(problems(max_units=3))
def test_cbc_finds_what_enumeration_finds(problem):
    best = oracle.best(problem)
    try:
        result = solve(problem, SolverOptions("cbc"))
    except SolverError as exc:
        assert "breaks a budget" in str(exc)  # the fault of CBC that the next test shows
        assert best is None
        return
    assert (result.choice is None) == (best is None)
    if best is not None:
        assert result.objective == pytest.approx(best, rel=1e-6, abs=1e-8)
        assert result.bound <= result.objective


@settings(max_examples=40, deadline=None)
@given(problems(max_units=6, max_devices=2))
def test_the_objective_is_what_evaluate_says(problem):
    result = solve(problem)
    if result.choice is not None:
        cost = evaluate(problem, result.choice)
        assert cost.objective == result.objective
        assert result.bound <= result.objective
        assert is_feasible(problem, cost)


def scaled(flow, links: float, switches: float = 1.0):
    """Return a tensor whose crossings and switches take other times."""

    def table(rows):
        return tuple(tuple(switches * x for x in row) for row in rows)

    def row(seconds):
        return tuple(switches * x for x in seconds)

    return replace(
        flow,
        forms=tuple(
            replace(
                form,
                link_s=tuple(x * links for x in form.link_s),
                encode_s=row(form.encode_s),
                decode_s=row(form.decode_s),
            )
            for form in flow.forms
        ),
        quantize_s=table(flow.quantize_s),
        dequantize_s=table(flow.dequantize_s),
        leave_s=table(flow.leave_s),
        enter_s=table(flow.enter_s),
    )


@settings(max_examples=40, deadline=None)
@given(problems(max_units=4), st.floats(0.1, 0.9))
def test_more_bandwidth_is_never_slower(problem, factor):
    problem = replace(problem, limits=(), objective=(ObjectiveTerm(LATENCY),))
    faster = replace(problem, flows=tuple(scaled(flow, links=factor) for flow in problem.flows))
    before, after = solve(problem), solve(faster)
    if before.choice is not None:
        assert after.objective <= before.objective + 1e-9


@settings(max_examples=40, deadline=None)
@given(problems(max_units=4))
def test_losing_an_option_is_never_faster(problem):
    fewer = replace(
        problem,
        vertices=tuple(
            v if v.is_terminal else replace(v, options=v.options[:-1] or v.options) for v in problem.vertices
        ),
    )
    before, after = solve(problem), solve(fewer)
    if after.choice is not None:
        assert after.objective >= before.objective - 1e-9


@settings(max_examples=30, deadline=None)
@given(problems(max_units=4))
def test_doubled_times_double_the_objective(problem):
    times = (CostMetric.LATENCY, CostMetric.MAKESPAN, CostMetric.PERIOD)
    terms = tuple(term for term in problem.objective if term.quantity.metric in times) or (
        ObjectiveTerm(LATENCY),
    )
    kept = tuple(x for x in problem.limits if x.quantity.metric in (CostMetric.MEMORY, CostMetric.NOISE))
    problem = replace(problem, objective=terms, limits=kept)
    slower = replace(
        problem,
        devices=tuple(replace(device, start_s=2 * device.start_s) for device in problem.devices),
        vertices=tuple(
            replace(v, options=tuple(replace(o, seconds=2 * o.seconds) for o in v.options))
            for v in problem.vertices
        ),
        flows=tuple(scaled(flow, links=2, switches=2) for flow in problem.flows),
    )
    before, after = solve(problem), solve(slower)
    assert (before.choice is None) == (after.choice is None)
    if before.choice is not None:
        assert after.objective == pytest.approx(2 * before.objective, rel=1e-7, abs=1e-9)


@settings(max_examples=30, deadline=None)
@given(problems(max_units=4), st.randoms(use_true_random=False))
def test_the_order_of_units_changes_nothing(problem, random):
    units = [i for i, v in enumerate(problem.vertices) if not v.is_terminal]
    shuffled = units[:]
    random.shuffle(shuffled)
    place = {old: new for new, old in enumerate(shuffled)}
    place |= {i: i for i, v in enumerate(problem.vertices) if v.is_terminal}
    vertices = sorted(range(len(place)), key=place.__getitem__)
    mixed = replace(
        problem,
        vertices=tuple(
            replace(
                problem.vertices[i], coupled_with=tuple(place[w] for w in problem.vertices[i].coupled_with)
            )
            for i in vertices
        ),
        together=tuple(tuple(place[v] for v in group) for group in problem.together),
        apart=tuple((place[a], place[b]) for a, b in problem.apart),
        flows=tuple(
            replace(
                f,
                producer=place[f.producer],
                consumers=tuple(place[c] for c in f.consumers),
                quantizers=tuple(place[q] for q in f.quantizers),
            )
            for f in reversed(problem.flows)
        ),
    )
    before, after = solve(problem), solve(mixed)
    assert (before.choice is None) == (after.choice is None)
    if before.choice is not None:
        assert after.objective == pytest.approx(before.objective, rel=1e-7, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(problems(max_units=4), st.data())
def test_evaluate_prices_any_assignment_as_the_formulas_do(problem, data):
    options = tuple(data.draw(st.integers(0, len(v.options) - 1)) for v in problem.vertices)
    wires = tuple(data.draw(st.sampled_from((0, *flow.wires))) for flow in problem.flows)
    ours, theirs = (price(problem, Choice(options, wires)) for price in (evaluate, oracle.price))
    assert ours.latency_s == pytest.approx(theirs.latency, abs=1e-12)
    assert ours.makespan_s == pytest.approx(theirs.makespan, abs=1e-12)
    assert ours.period_s == pytest.approx(theirs.period, abs=1e-12)
    assert ours.noise_power == pytest.approx(theirs.noise, abs=1e-12)
    assert list(ours.memory_bytes) == pytest.approx(theirs.memory)
    assert list(ours.energy_j) == pytest.approx(theirs.energy, abs=1e-12)
    assert list(ours.traffic_bytes) == pytest.approx(theirs.traffic)
    assert ours.money == pytest.approx(theirs.money, abs=1e-12)
    assert (ours.order is not None) == theirs.ordered
    assert ours.objective == pytest.approx(theirs.objective, abs=1e-12)
    assert is_feasible(problem, ours) == oracle.feasible(problem, theirs)


@pytest.mark.parametrize("measure", list(CostMetric))
def test_a_limit_below_the_least_is_infeasible_and_one_above_is_not(measure):
    """Each measure is an objective and a limit alike."""
    quantity = Quantity(measure, 2 if measure is CostMetric.MEMORY else None)
    stays = [replace(v, options=v.options[4:]) if v.name == "u2" else v for v in FREE.vertices]
    noisy = [replace(v, options=v.options[1:2]) if v.name == "u0" else v for v in stays]
    free = replace(FREE, vertices=tuple(noisy), objective=(ObjectiveTerm(quantity),))
    least = solve(free).objective
    assert least > 0
    for factor, status in ((1.001, SolveStatus.OPTIMAL), (0.999, SolveStatus.INFEASIBLE)):
        assert solve(free.with_limit(quantity, least * factor)).status is status


def test_a_noise_budget_of_zero_leaves_no_noisy_option():
    problem = FREE.with_limit(NOISE, 0.0)
    assert evaluate(problem, solve(problem).choice).noise_power == 0


def test_a_noise_budget_of_zero_excludes_even_the_least_noise():
    def units(power):
        return tuple(Option(0, q, 0.002 - 0.001 * q, power * q) for q in (0, 1))

    ends = tuple(Vertex(n, (Option(0),), is_terminal=True) for n in ("source", "sink"))
    vertices = (Vertex("loud", units(0.05)), Vertex("quiet", units(1e-11)), *ends)
    problem = PlacementProblem((Device("a"),), vertices, (), limits=(Limit(NOISE, 0.0),))
    assert solve(problem).choice.options == (0, 0, 0, 0)


def test_an_early_stop_is_never_called_optimal():
    result = solve(FREE, SolverOptions(gap=0.9))
    assert (result.status is SolveStatus.OPTIMAL) == (result.gap <= 1e-4)


def test_tiny_noise_budgets_are_kept_exactly():
    problem = FREE.with_limit(NOISE, 0.02)
    tiny = replace(
        problem,
        vertices=tuple(
            replace(v, options=tuple(replace(o, noise_power=o.noise_power * 1e-7) for o in v.options))
            for v in problem.vertices
        ),
        flows=tuple(
            replace(
                f,
                noise_power=tuple(n * 1e-7 for n in f.noise_power),
                forms=tuple(replace(form, noise_power=form.noise_power * 1e-7) for form in f.forms),
            )
            for f in problem.flows
        ),
    )
    assert solve(tiny.with_limit(NOISE, 0.02e-7)).choice == solve(problem).choice


def test_a_problem_that_presolve_never_ends_on_is_solved():
    result = solve(ENDLESS_PRESOLVE)
    assert result.status is SolveStatus.OPTIMAL
    assert result.objective == pytest.approx(oracle.best(ENDLESS_PRESOLVE), abs=1e-9)


def test_a_wrong_answer_of_cbc_is_noticed():
    problem = problem_that_cbc_misjudges()
    assert oracle.best(problem) is None
    assert solve(problem).status is SolveStatus.INFEASIBLE
    try:
        assert solve(problem, SolverOptions("cbc")).status is SolveStatus.INFEASIBLE
    except SolverError as exc:
        assert "cbc returned a plan that breaks a budget" in str(exc)


def test_an_unknown_solver_is_named_with_the_known_ones():
    with pytest.raises(SolverError, match="no solver 'glpk'; choose one of highs, cbc, gurobi, cplex, scip"):
        solve(small_problem(), SolverOptions("glpk"))


@pytest.mark.parametrize("seconds", [math.nan, math.inf, -1.0, 1e300])
def test_costs_that_are_no_costs_are_refused(seconds):
    problem = small_problem()
    broken = Vertex("u0", (Option(0, seconds=seconds),))
    with pytest.raises(ProblemError, match="unit 'u0': costs and budgets must be "):
        replace(problem, vertices=(broken, *problem.vertices[1:]))


@pytest.mark.parametrize(
    ("name", "package"), [("gurobi", "gurobipy"), ("scip", "pyscipopt"), ("cplex", "cplex")]
)
def test_a_solver_of_the_users_own_finds_the_same(name, package):
    if importlib.util.find_spec(package) is None:
        with pytest.raises(SolverError, match=f"solver {name} is not here: pip install {package}"):
            solve(small_problem(), SolverOptions(name))
        pytest.skip(f"{package} is not installed")
    for problem in (small_problem(), FREE, ENDLESS_PRESOLVE):
        own, theirs = solve(problem), solve(problem, SolverOptions(name))
        assert theirs.status is own.status
        assert theirs.objective == pytest.approx(own.objective, rel=1e-6)
        assert theirs.bound == pytest.approx(own.bound, rel=1e-4)


class Lines(logging.Handler):
    def __init__(self):
        super().__init__()
        self.texts = []

    def emit(self, record):
        self.texts.append(record.getMessage())


@settings(max_examples=50, deadline=None)
@given(problems(max_units=5))
def test_a_gap_of_zero_ends_without_the_same_program_again_and_again(problem):
    """A solver's own tolerance may be wider than the gap: it would say the same until the time is over."""
    lines, log = Lines(), logging.getLogger("planner.solver.solve")
    level = log.level
    log.addHandler(lines)
    log.setLevel(logging.INFO)
    try:
        with suppress(SolverError):
            solve(problem, SolverOptions("cbc", 3.0, gap=0.0))
    finally:
        log.removeHandler(lines)
        log.setLevel(level)
    programs = Counter(text.rpartition(",")[0] for text in lines.texts if "variables" in text)
    assert max(programs.values(), default=0) < 10


def test_the_least_makespan_counts_what_the_source_and_the_sink_switch():
    """In int8 the unit itself is faster, but not with the switches on the slow device of both ends."""
    seconds = ((0.0, 0.01), (0.01, 0.0))
    switches = ((0.0, 0.0), (5.0, 0.0)), ((0.0, 0.0), (3.0, 0.0))
    flows = (
        Flow("in", 1, (0,), forms(seconds, seconds), (0,), (0.0, 0.0), *switches),
        Flow("out", 0, (2,), forms(seconds, seconds), (0,), (0.0, 0.0), *switches),
    )
    ends = tuple(Vertex(name, (Option(0),), is_terminal=True) for name in ("source", "sink"))
    unit = Vertex("u", (Option(1, 1, 1.0, precision="int8"), Option(1, 0, 4.0)))
    problem = PlacementProblem(
        (Device("camera", 0.5), Device("hub")),
        (unit, *ends),
        flows,
        mesh(2),
        objective=(ObjectiveTerm(Quantity(CostMetric.MAKESPAN)),),
    )
    result = solve(problem)
    assert result.choice.options == (1, 0, 0)
    assert result.objective == pytest.approx(oracle.best(problem)) == pytest.approx(4.02)


def test_a_large_problem_has_a_plan_though_its_relaxation_would_take_longer_than_there_is_time():
    """The quickest options are too noisy together: no relaxation's first answer is a plan."""
    options = (Option(0, seconds=2.0), Option(0, 1, 1.0, noise_power=1.0, precision="int8"))
    other_device = tuple(replace(option, device=1) for option in options)
    units = tuple(Vertex(f"u{i}", (*options, *other_device)) for i in range(2600))
    problem = PlacementProblem(
        (Device("a"), Device("b")), units, (), limits=(Limit(Quantity(CostMetric.NOISE), 5.0),)
    )
    result = solve(problem, SolverOptions(time_limit_s=1e-3))
    assert result.status is SolveStatus.FEASIBLE
    assert result.objective == 5200.0
    assert result.variables == 0  # no program was built


def test_time_too_short_for_a_relaxation_is_used_to_better_the_plan_at_hand(monkeypatch):
    monkeypatch.setattr("planner.solver.solve._TABLES_RATIO", 1e12)
    options = tuple(Option(d, seconds=seconds) for d, seconds in enumerate((3.0, 2.0, 1.0)))
    problem = PlacementProblem(
        tuple(Device(name) for name in "abc"), tuple(Vertex(f"u{i}", options) for i in range(5)), ()
    )
    result = solve(problem, start_plans=[Choice((0,) * 5)])
    assert result.choice.options == (2,) * 5
    assert (result.objective, result.bound, result.variables) == (5.0, 0.0, 0)


def test_a_plan_is_found_though_each_round_of_the_relaxation_takes_long(monkeypatch):
    """Seen with five devices of two visits: the first rounds alone took longer than the time limit."""
    now = [0.0]

    def slow(method):
        def run(*arguments):
            now[0] += 3.0
            return method(*arguments)

        return run

    for name in ("marginals", "minimise"):
        monkeypatch.setattr(LagrangianRelaxation, name, slow(getattr(LagrangianRelaxation, name)))
    options = (Option(0, seconds=2.0), Option(0, 1, 1.0, noise_power=1.0, precision="int8"))
    heavy = (options[0], replace(options[1], noise_power=15.0, joules=15.0))
    units = (Vertex("heavy", heavy), *(Vertex(f"u{i}", options) for i in range(30)))
    limits = tuple(Limit(Quantity(metric), 20.0) for metric in (CostMetric.NOISE, CostMetric.ENERGY))
    problem = PlacementProblem((Device("a", active_w=0.1),), units, (), limits=limits)
    result = solve(problem, SolverOptions(time_limit_s=4.0), clock=lambda: now[0])
    assert result.choice is not None
    assert now[0] == 3.0  # no second round is begun that would end late
