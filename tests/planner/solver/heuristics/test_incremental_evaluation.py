"""Incremental costs against `evaluate`."""

import random
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import problems

from planner.problem.cost_evaluation import evaluate, is_feasible
from planner.problem.placement_problem import Choice
from planner.problem.quantities import CostMetric, Quantity
from planner.solver.heuristics.incremental_evaluation import IncrementalEvaluation


@given(problems(), st.randoms(use_true_random=False))
def test_after_changes_and_undo_every_value_is_that_of_evaluate(problem, rng: random.Random):
    state = IncrementalEvaluation(problem, Choice((0,) * len(problem.vertices)))
    for _ in range(8):
        v = rng.randrange(len(problem.vertices))
        f = rng.randrange(len(problem.flows))
        state.change(
            [(v, rng.randrange(len(problem.vertices[v].options)))],
            [(f, rng.choice([0, *problem.flows[f].wires]))],
        )
        if rng.random() < 0.3:
            state.undo()
        cost = evaluate(problem, state.choice)
        quantities = [Quantity(m) for m in CostMetric] + list(problem.quantities)
        for quantity in quantities:
            if quantity.metric is CostMetric.MAKESPAN and not problem.has_makespan:
                continue
            assert state.value(quantity) == pytest.approx(cost.value(quantity), rel=1e-7, abs=1e-9)
        assert (state.objective() == inf) == (cost.objective == inf)
        assert (sum(state.excesses()) == 0) == is_feasible(problem, cost)


@given(problems(), st.randoms(use_true_random=False))
def test_undo_restores_every_sum_to_the_last_bit(problem, rng: random.Random):
    state = IncrementalEvaluation(problem, Choice((0,) * len(problem.vertices)))
    for _ in range(8):
        sums = dict(state.sums)
        v = rng.randrange(len(problem.vertices))
        state.change([(v, rng.randrange(len(problem.vertices[v].options)))])
        state.undo()
        assert {key: state.sums[key] for key in sums} == sums
        state.change([(v, rng.randrange(len(problem.vertices[v].options)))])
        state.keep()
