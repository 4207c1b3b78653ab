import io
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from models import residual
from planned_models import scenario_around
from rich.console import Console
from small_problems import small_problem

from planner.output.plan_folder import write_outcome
from planner.output.saved_plan import read_manifest, read_plan
from planner.plan.plan_record import Metrics, Round
from planner.problem.cost_evaluation import evaluate
from planner.refinement.noise_limit_search import NoiseLimitSearch, SearchState
from planner.refinement.outcome import Outcome
from planner.report.tables.plan_tables import broken_text, plan_table, undelivered_text
from planner.run import plan_scenario
from planner.scenario.budget_schema import BudgetSpec
from planner.solver.solver_options import SolverOptions
from planner.verification.budget_margins import verdict_clause
from planner.verification.error_budgets import doubtful_budgets
from planner.verification.sample_size import too_few_evaluated, too_few_held_back, too_few_text


def metrics(samples: int, changed: int = 0, noise: float = 0.0, error: float = 0.0, **known) -> Metrics:
    fields = {"accuracy": None, "accuracy_fp32": None} | known
    return Metrics(
        noise_relative_rms=noise,
        noise_standard_error=error,
        max_abs_error=1.0,
        top1_agreement=1 - changed / samples,
        samples=samples,
        **fields,
    )


def refused(budget: BudgetSpec, held_back: Metrics) -> Round:
    broken = tuple(name for name, _, _ in doubtful_budgets(budget, held_back))
    return Round(
        noise_budget_rms=None, predicted_noise_rms=0.0, latency_s=1.0, held_back=held_back, broken=broken
    )


@pytest.mark.parametrize("budget", [BudgetSpec(top1_agreement=0.97), BudgetSpec(accuracy_drop=0.01)])
def test_the_samples_that_are_asked_for_would_show_one_lost_answer(budget):
    (few,) = too_few_held_back(budget, [refused(budget, metrics(12, changed=1))])
    assert (few.data, few.samples, few.refused) == ("calibration", 12, 1)
    enough = few.needed // 4
    assert not list(doubtful_budgets(budget, metrics(enough, changed=1)))
    assert list(doubtful_budgets(budget, metrics(enough - 1, changed=1)))


def test_a_noise_within_its_budget_but_for_the_margin_asks_for_samples_that_narrow_it():
    budget = BudgetSpec(noise_relative_rms=0.1)
    (few,) = too_few_held_back(budget, [refused(budget, metrics(10, noise=0.08, error=0.02))])
    assert (few.measured, few.with_margin) == pytest.approx((0.08, 0.12))
    narrowed = 0.02 * (10 / (few.needed // 4)) ** 0.5
    assert not list(doubtful_budgets(budget, metrics(few.needed // 4, noise=0.08, error=narrowed)))


def test_a_share_within_its_budget_but_for_the_margin_asks_for_samples_that_narrow_it():
    budget = BudgetSpec(accuracy_drop=0.05)
    kept = metrics(100, changed=9, accuracy=0.87, accuracy_fp32=0.9)
    (few,) = too_few_evaluated(budget, kept)
    assert (few.data, few.measured, few.with_margin) == (
        "evaluation",
        pytest.approx(0.03),
        pytest.approx(0.06),
    )
    assert few.needed == 225  # 0.03 + sqrt(0.09 / 225) = 0.05


@pytest.mark.parametrize(
    ("budget", "held_back"),
    [
        (BudgetSpec(noise_relative_rms=0.1), metrics(10, noise=0.2, error=0.01)),
        (BudgetSpec(top1_agreement=1.0), metrics(10, changed=1)),
        (BudgetSpec(top1_agreement=0.9), metrics(100, changed=40)),
        (BudgetSpec(max_abs_error=0.5), metrics(10)),
        (BudgetSpec(top1_agreement=0.97), metrics(12)),
    ],
)
def test_what_more_samples_would_not_mend_is_not_put_down_to_them(budget, held_back):
    assert too_few_held_back(budget, [refused(budget, held_back)]) == ()


def test_a_search_that_few_samples_drive_to_fp32_says_so():
    problem = replace(small_problem(), limits=(), together=(), apart=())
    budget = BudgetSpec(top1_agreement=0.97)

    def one_changed_answer(_, choice) -> Metrics:
        return metrics(12, changed=int(evaluate(problem, choice).noise_power > 0))

    found = NoiseLimitSearch(budget, SolverOptions(), one_changed_answer).solve_and_try_out(
        problem, SearchState()
    )
    assert found.cost.noise_power == 0
    (few,) = too_few_held_back(budget, found.rounds)
    assert few.refused == sum(bool(one.broken) for one in found.rounds) > 0
    assert too_few_text(few) == (
        "12 held-back samples are too few for top1_agreement 0.97: one lost answer counts as 0.8333 with its "
        f"margin, and {few.refused} plans were refused for it; 268 calibration samples, of which a quarter "
        "is held back, would allow that"
    )


def test_every_report_says_it(tmp_path):
    rng = np.random.default_rng(0)
    arrays = {"x": rng.normal(size=(12, 2, 8, 8)).astype(np.float32)}
    scenario = scenario_around(tmp_path, residual(), arrays, budget={"top1_agreement": 0.97})
    outcome = plan_scenario(scenario)
    (evaluated,) = (one for one in outcome.plan.too_few_samples if one.data == "evaluation")
    assert (evaluated.samples, evaluated.needed) == (12, 67)
    few = msgspec.structs.replace(evaluated, data="calibration", samples=3, needed=268, refused=2)
    outcome = replace(outcome, plan=msgspec.structs.replace(outcome.plan, too_few_samples=(few, evaluated)))
    write_outcome(outcome, tmp_path / "plan")
    saved = read_plan(tmp_path / "plan")
    assert saved.too_few_samples == (few, evaluated)
    text = io.StringIO()
    Console(file=text, width=300).print(plan_table(saved, read_manifest(tmp_path / "plan")))
    page = (tmp_path / "plan" / "report.html").read_text()
    (verdict,) = saved.budget_verdicts
    for told in (too_few_text(few), verdict_clause(verdict)):
        assert told in text.getvalue()
        assert told in page
    # What the verdict says is not said in other words as well.
    assert too_few_text(evaluated) not in text.getvalue() + page
    assert too_few_text(few) in undelivered_text(Outcome(saved, None, {}, conflict="infeasible"))
    older = msgspec.structs.replace(saved, budget_verdicts=())
    assert too_few_text(evaluated) in broken_text(older, ("top1_agreement is 0.9",))
    assert too_few_text(evaluated) not in broken_text(saved, ("top1_agreement is 0.9",))


def of_metric(samples: int, error: float | None, drop: float = 0.01) -> Metrics:
    return metrics(samples, metric=0.5 - drop, metric_fp32=0.5, metric_drop_standard_error=error)


def test_a_metric_that_spreads_more_than_its_budget_asks_for_samples_that_tell_it():
    budget = BudgetSpec(metric_drop=0.02)
    (few,) = too_few_held_back(budget, [refused(budget, of_metric(8, 0.03))])
    assert (few.data, few.refused) == ("calibration", 0)
    assert few.needed == 4 * 72  # 2 * 0.03 * sqrt(8 / 72) = 0.02
    assert "8 held-back samples are too few to tell metric_drop 0.02" in too_few_text(few)
    narrowed = 0.03 * (8 / 72) ** 0.5
    assert too_few_evaluated(budget, of_metric(72, narrowed * 0.999)) == ()
    assert too_few_evaluated(budget, of_metric(8, None)) == ()


def test_of_a_metric_the_plan_that_was_taken_counts():
    budget = BudgetSpec(metric_drop=0.02)
    wild, taken = refused(budget, of_metric(8, 0.3)), refused(budget, of_metric(8, 0.015))
    taken = msgspec.structs.replace(taken, delivered=True)
    (few,) = too_few_held_back(budget, [taken, wild])
    assert few.needed == 4 * 18
