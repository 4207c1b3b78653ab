from math import nan, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.plan.plan_record import Metrics
from planner.scenario.budget_schema import BudgetSpec
from planner.verification.error_budgets import (
    as_measured,
    broken_budgets,
    cautious_noise,
    doubtful_budgets,
    has_error_budget,
    is_kept,
    with_margin,
)


def metrics(**changes) -> Metrics:
    known = {
        "noise_relative_rms": 0.04,
        "noise_standard_error": 0.003,
        "max_abs_error": 0.5,
        "top1_agreement": 0.98,
        "accuracy": 0.80,
        "accuracy_fp32": 0.83,
        "metric": 0.60,
        "metric_fp32": 0.64,
        "samples": 100,
    }
    return Metrics(**known | changes)


ALL = BudgetSpec(
    noise_relative_rms=0.05, max_abs_error=0.6, accuracy_drop=0.04, metric_drop=0.05, top1_agreement=0.9
)


def test_each_budget_is_yielded_with_its_limit_and_what_was_measured():
    found = {name: (limit, pytest.approx(value)) for name, limit, value in as_measured(ALL, metrics())}
    assert found == {
        "noise_relative_rms": (0.05, 0.04),
        "max_abs_error": (0.6, 0.5),
        "accuracy_drop": (0.04, 0.03),
        "metric_drop": (0.05, 0.04),
        "top1_agreement": (0.9, 0.98),
    }


def test_with_margin_noise_is_two_errors_worse_and_shares_one():
    found = {name: value for name, _, value in with_margin(ALL, metrics())}
    spread = sqrt(0.02 / 100)  # two changed answers among a hundred
    assert found == pytest.approx(
        {
            "noise_relative_rms": 0.046,
            "max_abs_error": 0.5,
            "accuracy_drop": 0.03 + spread,
            "metric_drop": 0.04,
            "top1_agreement": 0.98 - spread,
        }
    )
    assert cautious_noise(metrics()) == pytest.approx(0.046)


@pytest.mark.parametrize(
    ("budget", "broken"),
    [
        ({"noise_relative_rms": 0.039}, True),
        ({"noise_relative_rms": 0.04}, False),
        ({"max_abs_error": 0.49}, True),
        ({"accuracy_drop": 0.029}, True),
        ({"accuracy_drop": 0.03}, False),  # 0.83 - 0.80 is a little above 0.03
        ({"metric_drop": 0.039}, True),
        ({"top1_agreement": 0.981}, True),
        ({"top1_agreement": 0.98}, False),
        ({}, False),
    ],
)
def test_a_budget_is_broken_from_beyond_its_limit_on(budget, broken):
    found = [name for name, _, _ in broken_budgets(BudgetSpec(**budget), metrics())]
    assert found == list(budget) * broken


def test_without_labels_a_drop_is_judged_by_changed_answers():
    found = dict.fromkeys(("accuracy", "accuracy_fp32"))
    ((_, _, value),) = as_measured(BudgetSpec(accuracy_drop=0.04), metrics(**found))
    assert value == pytest.approx(0.02)


def test_answers_that_cannot_be_compared_keep_no_budget_on_answers():
    silent = metrics(top1_agreement=None, accuracy=None, accuracy_fp32=None)
    budget = BudgetSpec(accuracy_drop=1.0, top1_agreement=0.0)
    assert {name for name, _, _ in broken_budgets(budget, silent)} == {"accuracy_drop", "top1_agreement"}
    assert not is_kept("noise_relative_rms", 1.0, nan)


SHARES = st.floats(0, 1)


@given(SHARES, SHARES, st.integers(1, 10_000), st.floats(0, 0.1))
def test_what_is_broken_is_doubtful(noise, agreement, samples, error):
    known = metrics(
        noise_relative_rms=noise,
        noise_standard_error=error,
        top1_agreement=agreement,
        samples=samples,
    )
    broken = {name for name, _, _ in broken_budgets(ALL, known)}
    doubtful = {name for name, _, _ in doubtful_budgets(ALL, known)}
    assert broken <= doubtful


@pytest.mark.parametrize("name", ["noise_relative_rms", "max_abs_error", "accuracy_drop", "metric_drop"])
def test_a_budget_of_zero_is_a_budget(name):
    assert has_error_budget(BudgetSpec(**{name: 0.0}))
    assert not has_error_budget(BudgetSpec(latency_ms=5.0))
