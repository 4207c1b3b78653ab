from dataclasses import replace
from math import inf

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_problems import LATENCY, NOISE, small_problem, two_devices_with_one_to_return_to
from strategies import problems

from planner.problem.cost_evaluation import evaluate
from planner.problem.device_visits import with_visits
from planner.problem.placement_problem import Choice
from planner.problem.quantities import CostMetric, Limit, ObjectiveTerm, Quantity
from planner.problem_io.solution import Answer, answer_of, conflict_line, objective_text
from planner.solver.infeasibility import find_conflict
from planner.solver.result import SolveResult, SolveStatus
from planner.solver.solve import solve
from planner.solver.solver_options import SolverOptions


def result(choice: Choice | None, objective: float | None = 1.0) -> SolveResult:
    status = SolveStatus.INFEASIBLE if choice is None else SolveStatus.OPTIMAL
    return SolveResult(status, choice, objective, objective, 0.5, "highs", 7, 8)


@settings(max_examples=30, deadline=None)
@given(problems(max_units=3), st.data())
def test_an_answer_has_the_costs_of_its_choice_under_the_problems_names(problem, data):
    options = tuple(data.draw(st.integers(0, len(v.options) - 1)) for v in problem.vertices)
    choice, cost = Choice(options), evaluate(problem, Choice(options))
    if cost.latency_s == inf or cost.order is None:  # which no solver answers with
        return
    answer = answer_of(problem, result(choice), 99.0)
    own = answer.costs
    assert (own.latency_s, own.period_s, own.transfer_s) == (cost.latency_s, cost.period_s, cost.transfer_s)
    assert (own.noise_power, own.money) == (cost.noise_power, cost.money)
    assert sum(own.busy_s.values()) == pytest.approx(sum(cost.busy_s))
    assert sum(own.energy_j.values()) == pytest.approx(sum(cost.energy_j))
    assert sum(own.memory_bytes.values()) == pytest.approx(sum(cost.memory_bytes))
    assert list(own.traffic_bytes.values()) == list(cost.traffic_bytes)
    for placed, vertex, o in zip(answer.assignments, problem.vertices, options, strict=False):
        option = vertex.options[o]
        assert placed.unit == vertex.name
        assert placed.device == problem.devices[option.device].name
        assert placed.precision == option.precision
    assert len(answer.assignments) == sum(not vertex.is_terminal for vertex in problem.vertices)
    for cut, crossing in zip(answer.cuts, cost.crossings, strict=True):
        ends = [name.removesuffix(" again") for name in (cut.source, cut.target)]  # links join devices
        assert [cut.path[0].removesuffix(" again"), cut.path[-1]][: len(cut.path)] == ends[: len(cut.path)]
        assert cut.seconds == crossing.seconds
        assert cut.tensor == problem.flows[crossing.flow].name
    assert msgspec.json.decode(msgspec.json.encode(answer), type=Answer) == answer


def test_stages_are_the_devices_that_compute_in_their_order():
    problem = replace(small_problem(), limits=(), together=(), apart=())
    assert answer_of(problem, result(Choice((4, 2, 2, 0, 0))), None).stages == ("c", "b")
    visited = with_visits(problem, [2, 1, 1])
    devices = [option.device for option in visited.vertices[0].options]
    choice = Choice((devices.index(0), devices.index(1), devices.index(3), 0, 0))
    assert answer_of(visited, result(choice), None).stages == ("a", "b", "a again")
    loose = two_devices_with_one_to_return_to()
    assert answer_of(loose, result(Choice((0, 0, 0, 0, 0))), None).costs.makespan_s is not None
    started = replace(loose, devices=tuple(replace(device, start_s=1.0) for device in loose.devices))
    assert answer_of(started, result(Choice((0, 0, 0, 0, 0))), None).costs.makespan_s is None


@pytest.mark.parametrize(
    ("terms", "text"),
    [
        ((ObjectiveTerm(LATENCY),), "latency"),
        (
            (ObjectiveTerm(LATENCY, 0.5), ObjectiveTerm(Quantity(CostMetric.ENERGY, 0), 2.0)),
            "0.5 latency + 2 energy of a",
        ),
        ((ObjectiveTerm(Quantity(CostMetric.TRAFFIC, 3)),), "traffic of 1-2"),
    ],
)
def test_the_objective_is_told_as_a_sum(terms, text):
    assert objective_text(replace(small_problem(), objective=terms)) == text


def test_a_conflict_names_each_limit_with_its_unit_and_what_would_do_instead():
    problem = replace(
        small_problem(), limits=(Limit(LATENCY, 1e-6), Limit(NOISE, 1.0)), together=(), apart=()
    )
    conflict = find_conflict(problem, SolverOptions())
    answer = answer_of(problem, result(None, None), None, conflict)
    least = solve(problem.with_limit(LATENCY, None)).objective
    assert [(one.measure, one.of, one.at_most) for one in answer.conflict] == [("latency", None, 1e-6)]
    assert answer.conflict[0].least == pytest.approx(least)
    assert conflict_line(answer) == (
        f"infeasible: latency <= 1e-06 s cannot be kept; latency <= {answer.conflict[0].least:.9g} s would do"
    )
    assert (answer.costs, answer.assignments, answer.cuts) == (None, (), ())
