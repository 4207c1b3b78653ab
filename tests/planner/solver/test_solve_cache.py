import msgspec
import pytest
from hypothesis import given, settings
from strategies import problems

import planner.solver.solve_cache
from planner.errors import SolverError
from planner.solver.result import SolveResult
from planner.solver.solve import solve
from planner.solver.solve_cache import solve_cached, warm_cache
from planner.solver.solver_options import SolverOptions

OPTIONS = SolverOptions(gap=1e-9)


@settings(max_examples=60, deadline=None)
@given(problems())
def test_every_answer_can_be_kept(problem):
    found = solve(problem, OPTIONS)
    assert msgspec.json.decode(msgspec.json.encode(found), type=SolveResult) == found


@settings(max_examples=10, deadline=None)
@given(problems(max_units=4))
def test_what_is_kept_is_the_answer(problem):
    first, again = (solve_cached(problem, OPTIONS) for _ in range(2))
    assert again == first
    assert first.choice == solve(problem, OPTIONS).choice
    assert first.objective == solve(problem, OPTIONS).objective


@pytest.fixture(scope="module")
def several():
    from small_problems import small_problem

    free = small_problem()
    return [
        free.with_limit(limit.quantity, limit.at_most * (1 + n)) for n, limit in enumerate(free.limits)
    ] * 2


def refuse(*_):
    raise TypeError("it is solved again")


refuse.__module__ = solve.__module__  # whose code is in the key


def test_what_is_solved_ahead_is_not_solved_again(several, monkeypatch):
    warm_cache(several, OPTIONS, 2)
    monkeypatch.setattr(planner.solver.solve_cache, "solve", refuse)
    assert all(solve_cached(problem, OPTIONS).objective is not None for problem in several)


def test_a_problem_that_fails_is_left_to_the_one_who_asks(several):
    unknown = SolverOptions("no such solver", gap=1e-9)
    try:
        warm_cache(several[:3], unknown, 2)  # more than processes, or nothing is solved ahead
    except SolverError:
        pytest.fail("a failure ahead is nobody's answer")


def test_other_options_are_another_problem(several, monkeypatch):
    solve_cached(several[0], OPTIONS)
    monkeypatch.setattr(planner.solver.solve_cache, "solve", refuse)
    with pytest.raises(TypeError):
        solve_cached(several[0], SolverOptions(gap=2e-9))
