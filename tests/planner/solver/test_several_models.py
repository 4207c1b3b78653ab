import math
from dataclasses import replace

import oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import joint_problems

from planner.errors import SolverError
from planner.problem.cost_evaluation import evaluate
from planner.problem.placement_problem import Choice
from planner.solver.result import SolveStatus
from planner.solver.solve import solve
from planner.solver.solver_options import SolverOptions


@settings(max_examples=150, deadline=None)
@given(joint_problems())
def test_several_models_are_planned_as_enumeration_plans_them(joint):
    result, best = solve(joint.problem), oracle.best_of_several(joint)
    if best is None:
        assert result.status is SolveStatus.INFEASIBLE
        return
    assert result.status is SolveStatus.OPTIMAL
    assert result.objective == pytest.approx(best, rel=1e-7, abs=1e-9)
    assert result.bound == pytest.approx(best, rel=1e-6, abs=1e-8)


@settings(max_examples=20, deadline=None)
@given(joint_problems(max_units=2))
def test_cbc_plans_several_models_as_enumeration_does(joint):
    best = oracle.best_of_several(joint)
    try:
        result = solve(joint.problem, SolverOptions("cbc"))
    except SolverError as exc:
        assert "breaks a budget" in str(exc)
        return
    assert (result.choice is None) == (best is None)
    if best is not None:
        assert result.objective == pytest.approx(best, rel=1e-6, abs=1e-8)


@settings(max_examples=100, deadline=None)
@given(joint_problems(), st.data())
def test_the_whole_costs_are_the_means_over_the_requests_of_each_model(joint, data):
    options = [data.draw(st.integers(0, len(v.options) - 1)) for v in joint.problem.vertices]
    choice = Choice(tuple(options))
    whole = evaluate(joint.problem, choice)
    if whole.order is None or whole.latency_s == math.inf:  # of a model that cannot run so
        return
    own = [joint.cost_of(model, choice) for model in range(len(joint.parts))]
    priced = oracle.JointPrice(
        joint,
        [
            oracle.price(part.problem, joint.choice_of(model, choice))
            for model, part in enumerate(joint.parts)
        ],
    )
    shares = [part.share for part in joint.parts]
    for quantity in joint.problem.quantities:
        assert whole.value(quantity) == pytest.approx(priced.of(quantity), rel=1e-9)
    mean = sum(share * cost.latency_s for share, cost in zip(shares, own, strict=True))
    assert whole.latency_s == pytest.approx(mean, rel=1e-9)
    for share, cost, part in zip(shares, own, whole.by_model, strict=True):
        assert part.latency_s == pytest.approx(share * cost.latency_s, rel=1e-9)
        assert part.noise_power == pytest.approx(share * cost.noise_power, rel=1e-9)
    energy = sum(share * cost.energy_j[0] for share, cost in zip(shares, own, strict=True))
    assert whole.energy_j[0] == pytest.approx(energy, rel=1e-9)


@settings(max_examples=40, deadline=None)
@given(joint_problems(), st.data())
def test_a_choice_is_that_of_its_parts(joint, data):
    options = [data.draw(st.integers(0, len(v.options) - 1)) for v in joint.problem.vertices]
    choice = Choice(tuple(options), (*(0 for _ in joint.problem.flows[:-1]), 1))
    parts = [joint.choice_of(model, choice) for model in range(len(joint.parts))]
    assert joint.joined(parts) == choice
    plain = replace(choice, wires=())
    assert joint.joined([joint.choice_of(m, plain) for m in range(len(joint.parts))]) == plain
