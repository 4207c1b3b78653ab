import math
from dataclasses import replace
from pathlib import Path

import oracle
import pytest
from hard_problems import ENDLESS_PRESOLVE
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import problems

from planner.errors import SolverError
from planner.evaluate import evaluate, is_feasible
from planner.ilp import SolveStatus, build, solve
from planner.problem import Energy, Flow, Option, PlacementProblem, Vertex, Weights
from planner.solvers import SolverOptions

GOLDEN = Path(__file__).parent / "golden"
FAMILIES = (
    "choose",
    "transport",
    "form",
    "absorb",
    "within",
    "start",
    "pay",
    "order",
    "noise",
    "inherit",
    "memory",
    "latency",
    "energy",
)


def small_problem() -> PlacementProblem:
    """Two units that share a tensor, three devices, every budget set."""
    options = tuple(
        Option(d, int8, 0.004 / (d + 1) / (1 + int8), 0.01 * int8, 8 - 4 * int8, 6 - 3 * int8)
        for d in range(3)
        for int8 in (False, True)
    )
    seconds = tuple(tuple(0.0 if a == b else 0.001 * (a + b) for b in range(3)) for a in range(3))
    quarter = tuple(tuple(x / 4 for x in row) for row in seconds)
    switches = {"quantize_s": (0.0004, 0.0002, 0.0001), "dequantize_s": (0.0002, 0.0001, 0.0001)}
    flows = (
        Flow("in", 3, (0,), (0,), (0.002,), (seconds, seconds), converts_at_consumer=True, **switches),
        Flow("a", 0, (1, 2), (0, 1, 2), (0.003,), (seconds, quarter), **switches),
        Flow("b", 1, (2, 4), (1, 2), (0.001,), (seconds, quarter), inherits=True, **switches),
        Flow("c", 2, (4,), (), (0.0,), (seconds, seconds), **switches),
    )
    units = tuple(
        Vertex(f"u{i}", options, absorbed=i == 1, within=(0, 1) if i == 2 else ()) for i in range(3)
    )
    ends = tuple(Vertex(n, (Option(0, int8=False),), fixed=True) for n in ("source", "sink"))
    joules = tuple(
        tuple(tuple(0.001 * (d in (a, b)) * (a != b) for d in range(3)) for b in range(3)) for a in range(3)
    )
    seams = {"leave_s": ((1e-4,) * 3, (2e-4,) * 3), "enter_s": ((3e-4,) * 3, (4e-4,) * 3)}
    flows = (flows[0], replace(flows[1], send_j=(joules, joules), **seams), *flows[2:])
    energy = Energy((3.0, 5.0, 9.0), (0.5, 0.0, 2.0), (0.1, None, 0.4), 0.6)
    return PlacementProblem(
        ("a", "b", "c"),
        (*units, *ends),
        flows,
        (20, None, 40),
        0.02,
        0.05,
        energy,
        start_s=(1e-5, 2e-5, 3e-5),
    )


@settings(max_examples=150, deadline=None)
@given(problems())
def test_the_solver_finds_what_enumeration_finds(problem):
    result, best = solve(problem), oracle.best(problem)
    if best is None:
        assert result.status is SolveStatus.INFEASIBLE
        assert result.choice is None
        return
    assert result.status is SolveStatus.OPTIMAL
    assert result.objective == pytest.approx(best, abs=1e-9)
    assert result.bound == pytest.approx(best, abs=1e-8)
    assert oracle.feasible(problem, oracle.price(problem, result.choice))


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
        assert result.objective == pytest.approx(best, abs=1e-8)
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


@settings(max_examples=40, deadline=None)
@given(problems(max_units=4), st.floats(0.1, 0.9))
def test_more_bandwidth_is_never_slower(problem, factor):
    faster = replace(
        problem,
        flows=tuple(
            replace(f, send_s=tuple(tuple(tuple(x * factor for x in r) for r in m) for m in f.send_s))
            for f in problem.flows
        ),
    )
    before, after = solve(problem), solve(faster)
    if before.choice is not None:
        assert after.objective <= before.objective + 1e-9


@settings(max_examples=40, deadline=None)
@given(problems(max_units=4))
def test_losing_an_option_is_never_faster(problem):
    fewer = replace(
        problem,
        vertices=tuple(
            v if v.fixed else replace(v, options=v.options[:-1] or v.options) for v in problem.vertices
        ),
    )
    before, after = solve(problem), solve(fewer)
    if after.choice is not None:
        assert after.objective >= before.objective - 1e-9


@settings(max_examples=30, deadline=None)
@given(problems(max_units=4))
def test_doubled_times_double_the_objective(problem):
    def doubled(matrix):
        return tuple(tuple(tuple(2 * x for x in row) for row in form) for form in matrix)

    if problem.energy is not None:  # its joules per message do not double with the times
        problem = replace(problem, energy=None, weights=Weights())
    slower = replace(
        problem,
        vertices=tuple(
            replace(v, options=tuple(replace(o, seconds=2 * o.seconds) for o in v.options))
            for v in problem.vertices
        ),
        flows=tuple(
            replace(
                f,
                send_s=doubled(f.send_s),
                quantize_s=tuple(2 * x for x in f.quantize_s),
                dequantize_s=tuple(2 * x for x in f.dequantize_s),
                leave_s=tuple(tuple(2 * x for x in row) for row in f.leave_s),
                enter_s=tuple(tuple(2 * x for x in row) for row in f.enter_s),
            )
            for f in problem.flows
        ),
        start_s=tuple(2 * x for x in problem.start_s),
    )
    before, after = solve(problem), solve(slower)
    assert (before.choice is None) == (after.choice is None)
    if before.choice is not None:
        assert after.objective == pytest.approx(2 * before.objective, abs=1e-9)


@settings(max_examples=30, deadline=None)
@given(problems(max_units=4), st.randoms(use_true_random=False))
def test_the_order_of_units_changes_nothing(problem, random):
    units = [i for i, v in enumerate(problem.vertices) if not v.fixed]
    shuffled = units[:]
    random.shuffle(shuffled)
    place = {old: new for new, old in enumerate(shuffled)}
    place |= {i: i for i, v in enumerate(problem.vertices) if v.fixed}
    vertices = sorted(range(len(place)), key=place.__getitem__)
    mixed = replace(
        problem,
        vertices=tuple(
            replace(problem.vertices[i], within=tuple(place[w] for w in problem.vertices[i].within))
            for i in vertices
        ),
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
        assert after.objective == pytest.approx(before.objective, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(problems(max_units=4), st.data())
def test_evaluate_prices_any_assignment_as_the_formulas_do(problem, data):
    choice = tuple(data.draw(st.integers(0, len(v.options) - 1)) for v in problem.vertices)
    ours, theirs = evaluate(problem, choice), oracle.price(problem, choice)
    assert ours.latency_s == pytest.approx(theirs["latency"], abs=1e-12)
    assert ours.noise_power == pytest.approx(theirs["noise"], abs=1e-12)
    assert list(ours.memory_bytes) == theirs["memory"]
    assert list(ours.energy_j) == pytest.approx(theirs["energy"], abs=1e-12)
    assert ours.objective == pytest.approx(theirs["objective"], abs=1e-12)
    assert bool(ours.order) == theirs["order"]
    assert is_feasible(problem, ours) == oracle.feasible(problem, theirs)


@pytest.mark.parametrize("family", FAMILIES)
def test_each_constraint_family_reads_as_the_golden_file_says(family, request):
    lp = build(small_problem()).lp
    lines = [
        f"{name}: {constraint}"
        for name, constraint in sorted(lp._constraints.items(), key=lambda item: int(item[0].rsplit("_")[-1]))
        if name.startswith(family + "_")
    ]
    path = GOLDEN / f"{family}.lp"
    if request.config.getoption("--golden"):
        path.write_text("\n".join(lines) + "\n")
    assert lines, f"no constraint of family {family}"
    assert "\n".join(lines) + "\n" == path.read_text()


def test_every_constraint_belongs_to_a_family_with_a_golden_file():
    lp = build(small_problem()).lp
    assert {name.rsplit("_", 1)[0] for name in lp._constraints} == set(FAMILIES)
    assert {path.stem for path in GOLDEN.glob("*.lp")} == set(FAMILIES)


def test_a_latency_budget_below_the_optimum_is_infeasible():
    problem = replace(small_problem(), latency_s=None)
    best = solve(problem).objective
    assert solve(replace(problem, latency_s=best * 1.001)).status is SolveStatus.OPTIMAL
    assert solve(replace(problem, latency_s=best * 0.999)).status is SolveStatus.INFEASIBLE


def test_an_energy_budget_below_the_optimum_is_infeasible():
    free = replace(small_problem(), energy=Energy((3.0, 5.0, 9.0), (0.5, 0.0, 2.0), (None,) * 3))
    least = solve(replace(free, weights=Weights(0.0, 1.0))).objective
    for factor, status in ((1.001, SolveStatus.OPTIMAL), (0.999, SolveStatus.INFEASIBLE)):
        limited = replace(free, energy=replace(free.energy, total_j=least * factor))
        assert solve(limited).status is status


def test_a_noise_budget_of_zero_leaves_no_noisy_option():
    result = solve(replace(small_problem(), noise_power=0.0, memory_bytes=(None, None, None)))
    assert evaluate(small_problem(), result.choice).noise_power == 0


def test_a_noise_budget_of_zero_excludes_even_the_least_noise():
    def units(power):
        return tuple(Option(0, int8, 0.002 - 0.001 * int8, power * int8) for int8 in (False, True))

    ends = tuple(Vertex(n, (Option(0, int8=False),), fixed=True) for n in ("source", "sink"))
    vertices = (Vertex("loud", units(0.05)), Vertex("quiet", units(1e-11)), *ends)
    problem = PlacementProblem(("a",), vertices, (), (None,), noise_power=0.0)
    assert solve(problem).choice == (0, 0, 0, 0)


def test_an_early_stop_is_never_called_optimal():
    result = solve(replace(small_problem(), noise_power=None), SolverOptions(gap=0.9))
    assert (result.status is SolveStatus.OPTIMAL) == (result.gap <= 1e-4)


def test_tiny_noise_budgets_are_kept_exactly():
    problem = small_problem()
    tiny = replace(
        problem,
        vertices=tuple(
            replace(v, options=tuple(replace(o, noise_power=o.noise_power * 1e-7) for o in v.options))
            for v in problem.vertices
        ),
        flows=tuple(replace(f, noise_power=tuple(n * 1e-7 for n in f.noise_power)) for f in problem.flows),
        noise_power=problem.noise_power * 1e-7,
    )
    assert solve(tiny).choice == solve(problem).choice


def test_a_problem_that_presolve_never_ends_on_is_solved():
    result = solve(ENDLESS_PRESOLVE)
    assert result.status is SolveStatus.OPTIMAL
    assert result.objective == pytest.approx(oracle.best(ENDLESS_PRESOLVE), abs=1e-9)


def test_a_wrong_answer_of_cbc_is_noticed():
    inf = math.inf

    def unit(name, *options):
        return Vertex(
            name, tuple(Option(d, int8=False, weight_bytes=w, activation_bytes=a) for d, w, a in options)
        )

    def flow(producer, consumers, *rows):
        return Flow("t", producer, consumers, (), (0.0,), (rows, rows), (0.0,) * 3, (0.0,) * 3)

    problem = PlacementProblem(
        ("d0", "d1", "d2"),
        (
            unit("u0", (0, 0, 0), (1, 0, 0), (2, 0, 0)),
            unit("u1", (0, 1, 2), (1, 0, 0), (2, 0, 2)),
            Vertex("source", (Option(0, int8=False),), fixed=True),
            Vertex("sink", (Option(0, int8=False),), fixed=True),
        ),
        (
            flow(0, (1, 3), (0.0, 0.0, 0.0), (inf, 0.0, inf), (inf, inf, 0.0)),
            flow(1, (3,), (0.0, 0.0, 0.0), (inf, 0.0, inf), (0.0, inf, 0.0)),
            flow(2, (0, 1), (0.0, 0.0, 0.0), (0.0, 0.0, 0.0), (inf, inf, 0.0)),
        ),
        (2, None, 1),
    )
    assert oracle.best(problem) is None
    assert solve(problem).status is SolveStatus.INFEASIBLE
    with pytest.raises(SolverError, match="cbc returned a plan that breaks a budget"):
        solve(problem, SolverOptions("cbc"))


def test_an_unknown_solver_is_named_with_the_known_ones():
    with pytest.raises(SolverError, match="no solver 'glpk'; choose one of highs, cbc"):
        solve(small_problem(), SolverOptions("glpk"))


@pytest.mark.parametrize("seconds", [math.nan, math.inf, -1.0])
def test_costs_that_are_no_costs_are_refused(seconds):
    problem = small_problem()
    broken = Vertex("u0", (Option(0, int8=False, seconds=seconds),))
    with pytest.raises(Exception, match="unit 'u0': costs and budgets must be finite and >= 0"):
        replace(problem, vertices=(broken, *problem.vertices[1:]))
