import math

import pytest
from measured_scenarios import quickstart_basis

from planner.comparison.request_rates import compare_rates
from planner.errors import UsageError
from planner.problem.cost_evaluation import evaluate
from planner.problem.quantities import CostMetric, Quantity
from planner.refinement.measured_models import MeasuredModels, search_noise_limits
from planner.refinement.noise_limit_search import SearchState
from planner.report.rates_table import rates_csv
from planner.scenario.schema import BudgetSpec
from planner.scenario.several_models import ModelScenario, SeveralModels

PERIOD = Quantity(CostMetric.PERIOD)


@pytest.fixture(scope="module")
def basis():
    return quickstart_basis()


def models_of(basis, *shares: float, memory_mib: float | None, requests_per_s: float | None):
    """Return copies of the quickstart as several models that share a memory budget."""
    alone = basis.scenario.model_copy(
        update={"budget": basis.scenario.budget.model_copy(update={"memory_mib": {}})}
    )
    memory = {} if memory_mib is None else {"camera": memory_mib}
    shared = alone.model_copy(update={"budget": BudgetSpec(memory_mib=memory)})
    parts = tuple(ModelScenario(f"m{n}", share, alone) for n, share in enumerate(shares))
    several = SeveralModels(parts, shared, requests_per_s)
    return MeasuredModels(several, (basis,) * len(shares))


def searched_at(models, rate: float):
    at_rate = MeasuredModels(models.several.at_requests_per_s(rate), models.measured)
    latencies = tuple(one.latency for one in models.measured)
    joint = at_rate.formulate(at_rate.planning_problems(latencies))
    return search_noise_limits(at_rate, joint, [SearchState()] * len(models.measured))


def test_the_best_plan_of_a_range_is_best_at_each_rate_in_it(basis):
    models = models_of(basis, 0.75, 0.25, memory_mib=0.15, requests_per_s=4)
    found = compare_rates(models, [1.0, 1e5])
    assert len(found.plans) > 1
    assert found.ranges[-1].plan is None
    assert found.complete
    for row in found.ranges[:-1]:
        assert row.status == "optimal"
        plan = found.plans[row.plan]
        assert row.high <= plan.most_requests_per_s * (1 + 1e-9)
        for rate in (row.low, math.sqrt(row.low * row.high), row.high):
            searched = searched_at(models, rate)
            # Trying plans out may end at another limit on noise; a better plan there must not be.
            assert searched.result.objective >= plan.objective * (1 - 1e-6)
            cost = evaluate(searched.problem, searched.result.choice)
            assert cost.period_s * rate <= 1 + 1e-5
    objectives = [plan.objective for plan in found.plans]
    assert objectives == sorted(objectives)
    assert searched_at(models, found.ranges[-1].low).result.choice is None
    text = rates_csv(found)
    assert text.count("\n") == 1 + len(found.ranges)


def test_models_planned_each_for_itself_may_not_fit_together(basis):
    tight = models_of(basis, 0.5, 0.5, memory_mib=0.1, requests_per_s=1)
    roomy = models_of(basis, 0.5, 0.5, memory_mib=None, requests_per_s=1)
    found = compare_rates(tight, [1.0, 2.0])
    memory = found.plans[0].memory_bytes["camera"]
    assert memory <= 0.1 * 2**20
    assert sum(memory for memory in found.plans[0].memory_bytes.values()) > 0
    free = compare_rates(roomy, [1.0, 2.0])
    assert free.alone is not None
    assert free.alone.latency_s == pytest.approx(free.plans[0].latency_s, rel=1e-6)
    assert free.plans[0].objective <= found.plans[0].objective


def test_a_mix_by_weights_has_no_rates(basis):
    with pytest.raises(UsageError, match="give each model requests_per_s"):
        compare_rates(models_of(basis, 0.5, 0.5, memory_mib=None, requests_per_s=None), [1.0])


def test_one_model_among_one_is_planned_as_it_is_alone(basis):
    models = models_of(basis, 1.0, memory_mib=None, requests_per_s=None)
    planning = basis.planning_problem(basis.latency)
    joint = models.formulate([planning])
    together = search_noise_limits(models, joint, [SearchState()])
    alone = basis.noise_limit_search.solve(
        joint.parts[0].problem.with_limit(Quantity(CostMetric.MEMORY, 0), None), SearchState()
    )
    assert together.result.objective == pytest.approx(alone.result.objective, rel=1e-9)
    assert together.unmet == alone.unmet == ()


def test_each_model_keeps_its_error_budgets_on_held_back_data(basis):
    models = models_of(basis, 0.75, 0.25, memory_mib=0.15, requests_per_s=4)
    searched = searched_at(models, 4.0)
    for model, search in enumerate(models.searches):
        part = searched.part(model)
        [delivered] = [row for row in part.rounds if row.delivered]
        assert delivered.broken == ()
        again = search.errors_of(part.problem, part.result.choice)
        assert again.noise_relative_rms == pytest.approx(delivered.held_back.noise_relative_rms)
