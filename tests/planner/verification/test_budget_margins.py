"""Verdicts are those of the exit code, never too sure, and ask for more samples where these help."""

from itertools import pairwise

import msgspec
import numpy as np
import pytest
from made_records import MEASURED, PREDICTED, made_plan
from scipy import stats

from planner.plan.plan_record import BudgetVerdict, Measured
from planner.scenario.budget_schema import BudgetSpec
from planner.verification.accuracy_and_noise import MetricsSum
from planner.verification.budget_margins import (
    CERTAIN,
    budget_verdicts,
    larger_error_text,
    plan_verdicts,
    verdict_clause,
)
from planner.verification.error_budgets import as_measured, is_kept
from planner.verification.noise_bootstrap import LEVELS

BUDGET = BudgetSpec(
    noise_relative_rms=0.05, max_abs_error=1.0, accuracy_drop=0.03, top1_agreement=0.9, metric_drop=0.02
)


def of(measured: Measured = MEASURED, **budget: float) -> BudgetVerdict:
    """Return the verdict on one budget."""
    (verdict,) = budget_verdicts(BudgetSpec(**budget), measured)
    return verdict


def answers(samples: int, lost: int, won: int) -> Measured:
    return msgspec.structs.replace(
        MEASURED,
        samples=samples,
        accuracy_fp32=0.8,
        accuracy=0.8 - (lost - won) / samples,
        answers_lost=lost,
        answers_won=won,
        top1_agreement=1 - (lost + won) / samples,
    )


def test_values_and_verdicts_are_those_that_budgets_are_judged_by():
    found = budget_verdicts(BUDGET, MEASURED)
    assert [(one.budget, one.limit, one.value) for one in found] == list(as_measured(BUDGET, MEASURED))
    assert all(one.kept == is_kept(one.budget, one.limit, one.value) for one in found)
    assert all(one.low is None or one.low < one.value < one.high for one in found)


@pytest.mark.parametrize("name", ["noise_relative_rms", "accuracy_drop", "metric_drop"])
def test_a_looser_budget_is_kept_more_surely_and_a_broken_one_less_surely(name):
    measured = msgspec.structs.replace(
        MEASURED, metric_drop_standard_error=0.006, answers_lost=12, answers_won=3
    )
    found = [of(measured, **{name: limit}) for limit in np.linspace(0.002, 0.12, 25)]
    assert all(a.certainty <= b.certainty for a, b in pairwise(found) if a.kept)
    assert all(a.certainty >= b.certainty for a, b in pairwise(found) if not b.kept)
    assert found[-1].certainty > CERTAIN


def test_agreement_has_the_certainty_of_its_exact_test():
    kept = of(answers(400, 3, 2), top1_agreement=0.97)
    assert kept.certainty == pytest.approx(stats.binom.sf(5, 400, 0.03))
    broken = of(answers(400, 12, 8), top1_agreement=0.97)
    assert not broken.kept
    assert broken.certainty == pytest.approx(stats.binom.cdf(19, 400, 0.03))
    exact = stats.binomtest(395, 400).proportion_ci(0.95, "exact")
    assert (kept.low, kept.high) == pytest.approx((exact.low, exact.high))


def test_no_changed_answer_is_no_proof_that_none_changes():
    same = of(answers(100, 0, 0), accuracy_drop=0.01)
    assert same.certainty == pytest.approx(1 - 0.99**100, abs=1e-5)
    assert (same.low, same.high) == pytest.approx((-(1 - 0.025**0.01), 1 - 0.025**0.01))
    assert of(answers(100, 0, 0), top1_agreement=1.0).more_samples is None


@pytest.mark.parametrize(
    ("counts", "budget"),
    [
        ((120, 2, 1), {"top1_agreement": 0.96}),
        ((120, 2, 1), {"accuracy_drop": 0.02}),
        ((60, 3, 0), {"accuracy_drop": 0.02}),
        ((50, 0, 0), {"top1_agreement": 0.98}),
    ],
)
def test_the_samples_that_are_asked_for_make_it_certain_and_few_less_do_not(counts, budget):
    samples, lost, won = counts
    verdict = of(answers(*counts), **budget)
    assert verdict.certainty < CERTAIN
    for share, is_enough in ((1.0, True), (0.9, False)):
        times = (samples + verdict.more_samples * share) / samples
        more = msgspec.structs.replace(
            answers(*counts), samples=samples * times, answers_lost=lost * times, answers_won=won * times
        )
        assert (of(more, **budget).certainty >= CERTAIN - 1e-4) == is_enough


def test_where_answers_lost_and_won_are_not_known_the_interval_is_no_narrower():
    known = answers(300, 6, 2)
    older = msgspec.structs.replace(known, answers_lost=None, answers_won=None)
    also_neither = msgspec.structs.replace(older, top1_agreement=1 - 15 / 300)
    one, same, wider = (of(each, accuracy_drop=0.03) for each in (known, older, also_neither))
    assert (same.low, same.high) == pytest.approx((one.low, one.high))
    assert wider.low < one.low < one.high < wider.high


def test_lost_and_won_answers_are_counted():
    total = MetricsSum()
    rows = {"same": ([0, 1], 1), "lost": ([1, 0], 1), "won": ([0, 1], 1)}
    exact = {"same": [0, 1], "lost": [0, 1], "won": [1, 0]}
    for name in ("same", "lost", "won", "lost"):
        got, label = rows[name]
        outputs, reference = ({"y": np.array([one], np.float32)} for one in (got, exact[name]))
        total.add(outputs, reference, label)
    found = total.result()
    assert (found.answers_lost, found.answers_won) == (2, 1)
    assert found.accuracy_fp32 - found.accuracy == pytest.approx(1 / 4)


def test_noise_is_as_sure_as_its_draws_and_without_them_as_its_standard_error():
    quantiles = tuple(0.04 + level / 100 for level in LEVELS)
    drawn = msgspec.structs.replace(MEASURED, noise_quantiles=quantiles)
    verdict = of(drawn, noise_relative_rms=0.047)
    assert verdict.certainty == pytest.approx(0.7)
    assert (verdict.low, verdict.high) == pytest.approx((0.04025, 0.04975))
    assert verdict.more_samples == pytest.approx(413 * ((1.645 / 0.5244) ** 2 - 1), rel=0.01)
    older = of(MEASURED, noise_relative_rms=0.047)
    assert older.certainty == pytest.approx(stats.t.cdf(0.0014 / 0.0012, 412))


def test_what_the_samples_say_nothing_of_has_no_certainty():
    plain = msgspec.structs.replace(MEASURED, noise_standard_error=0.0, metric_drop_standard_error=None)
    found = {one.budget: one for one in budget_verdicts(BUDGET, plain)}
    assert found["max_abs_error"].certainty is found["noise_relative_rms"].certainty is None
    assert found["metric_drop"].certainty is found["metric_drop"].low is None
    known = msgspec.structs.replace(MEASURED, metric_drop_standard_error=0.01)
    drop = of(known, metric_drop=0.02)
    half = stats.t.ppf(0.975, 7) * 0.01
    assert (drop.low, drop.high) == (pytest.approx(0.0111 - half), pytest.approx(0.0111 + half))
    assert drop.certainty == pytest.approx(stats.t.cdf(0.89, 7), abs=1e-3)


def test_of_a_largest_error_the_share_that_may_be_beyond_it_is_told():
    verdict = of(max_abs_error=1.0)
    assert verdict.beyond_share == pytest.approx(1 - 0.05 ** (1 / 413))
    assert "of all such, at most 0.8 % break it" in verdict_clause(verdict)
    assert verdict_clause(of(max_abs_error=0.5)) == "broken"


def test_infinite_errors_are_broken_and_can_be_written():
    verdict = of(msgspec.structs.replace(MEASURED, noise_relative_rms=float("inf")), noise_relative_rms=0.1)
    assert not verdict.kept
    assert msgspec.json.decode(msgspec.json.encode(verdict), type=BudgetVerdict) == verdict


def test_a_plan_of_an_older_version_is_judged_by_what_it_measured():
    scenario = made_plan(measured=MEASURED)
    assert plan_verdicts(made_plan(measured=None)) == ()
    assert all(one.samples == MEASURED.samples for one in plan_verdicts(scenario))


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
