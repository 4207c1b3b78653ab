"""Intervals against draws of many sets of samples from answers whose shares are known."""

from itertools import pairwise

import msgspec
import numpy as np
import pytest
from made_records import MEASURED, PREDICTED, made_plan

from planner.scenario.budget_schema import BudgetSpec
from planner.verification.budget_margins import error_margins, larger_error_text, share_interval
from planner.verification.error_budgets import as_measured

BUDGET = BudgetSpec(
    noise_relative_rms=0.05, max_abs_error=1.0, accuracy_drop=0.03, top1_agreement=0.9, metric_drop=0.02
)


def test_values_are_those_that_budgets_are_judged_by():
    margins = list(error_margins(BUDGET, MEASURED))
    assert [(one.budget, one.limit, one.value) for one in margins] == list(as_measured(BUDGET, MEASURED))
    assert all(one.interval is None or one.interval[0] < one.value < one.interval[1] for one in margins)


@pytest.mark.parametrize(("lost", "won"), [(0.03, 0.02), (0.08, 0.0), (0.01, 0.01)])
def test_the_true_drop_is_within_its_interval_about_as_often_as_is_said(lost, won):
    random, samples, runs, inside = np.random.default_rng(1), 500, 2000, 0
    budget = BudgetSpec(accuracy_drop=0.5)
    for losses, wins, _ in random.multinomial(samples, [lost, won, 1 - lost - won], runs):
        measured = msgspec.structs.replace(
            MEASURED,
            samples=samples,
            accuracy_fp32=0.8,
            accuracy=0.8 - (losses - wins) / samples,
            top1_agreement=1 - (losses + wins) / samples,
        )
        (margin,) = error_margins(budget, measured)
        inside += margin.interval[0] <= lost - won <= margin.interval[1]
    assert 0.93 <= inside / runs <= 0.975


def test_no_changed_answer_is_no_proof_that_none_changes():
    same = msgspec.structs.replace(MEASURED, top1_agreement=1.0, accuracy=0.8345)
    (margin,) = error_margins(BudgetSpec(accuracy_drop=0.01), same)
    assert margin.interval == (pytest.approx(-3 / 413), pytest.approx(3 / 413))


@pytest.mark.parametrize("share", [0.02, 0.5, 0.97])
def test_a_share_is_within_its_interval_about_as_often_as_is_said(share):
    counts = np.random.default_rng(2).binomial(200, share, 4000)
    ends = [share_interval(count / 200, 200) for count in counts]
    assert 0.92 <= np.mean([low <= share <= high for low, high in ends]) <= 0.985


def test_more_samples_say_more():
    widths = [high - low for low, high in (share_interval(0.9, count) for count in (50, 200, 800))]
    assert all(wide > 1.8 * narrow for wide, narrow in pairwise(widths))


def test_what_the_samples_say_nothing_of_has_no_interval():
    plain = msgspec.structs.replace(MEASURED, noise_standard_error=0.0, metric_drop_standard_error=None)
    found = {one.budget: one.interval for one in error_margins(BUDGET, plain)}
    assert found["max_abs_error"] is found["noise_relative_rms"] is found["metric_drop"] is None
    known = msgspec.structs.replace(MEASURED, metric_drop_standard_error=0.01)
    low, high = {one.budget: one.interval for one in error_margins(BUDGET, known)}["metric_drop"]
    assert (low, high) == (pytest.approx(0.0111 - 0.0196), pytest.approx(0.0111 + 0.0196))


@pytest.mark.parametrize(
    ("predicted", "error", "told"),
    [(0.0434, 0.0012, ""), (0.02, 0.0012, "2.3 times"), (0.02, 0.02, ""), (0.0, 0.0, "")],
)
def test_an_error_larger_than_predicted_is_told_if_samples_show_it(predicted, error, told):
    plan = made_plan(
        predicted=msgspec.structs.replace(PREDICTED, noise_relative_rms=predicted),
        measured=msgspec.structs.replace(MEASURED, noise_standard_error=error),
    )
    text = larger_error_text(plan)
    assert told in text
    assert bool(text) == bool(told)
