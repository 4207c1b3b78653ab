import math
from itertools import pairwise

import pytest
from copied_models import models_of, searched_at
from measured_scenarios import small_basis

from planner.comparison.request_rates import compare_rates
from planner.errors import UsageError
from planner.problem.cost_evaluation import evaluate
from planner.problem.quantities import CostMetric, Quantity
from planner.report.tables.rates_table import rates_csv

PERIOD = Quantity(CostMetric.PERIOD)


@pytest.fixture(scope="module")
def basis(tmp_path_factory):
    return small_basis(tmp_path_factory.mktemp("small"))


def test_the_best_plan_of_a_range_is_best_at_each_rate_in_it(basis):
    models = models_of(basis, 0.75, 0.25, memory_mib=0.003, requests_per_s=4)
    found = compare_rates(models, [1.0, 1e5])
    assert len(found.plans) > 1
    assert found.ranges[-1].plan is None
    assert found.complete
    for row in found.ranges[:-1]:
        assert row.status == "optimal"
        plan = found.plans[row.plan]
        assert row.high <= plan.most_requests_per_s * (1 + 1e-9)
        # At its ends the plan beside it is as good or breaks a limit: those of the first range stand for all.
        ends = (row.low, row.high) if row is found.ranges[0] else ()
        for rate in (math.sqrt(row.low * row.high), *ends):
            searched = searched_at(models, rate)
            # Trying plans out may end at another limit on noise; a better plan there must not be.
            assert searched.result.objective >= plan.objective * (1 - 1e-6)
            cost = evaluate(searched.problem, searched.result.choice)
            assert cost.period_s * rate <= 1 + 1e-5
    for below, above in pairwise(found.ranges):
        assert below.high < above.low <= below.high * (1 + 1e-3)
    objectives = [plan.objective for plan in found.plans]
    assert objectives == sorted(objectives)
    assert searched_at(models, found.ranges[-1].low).result.choice is None
    text = rates_csv(found)
    assert text.count("\n") == 1 + len(found.ranges)


def test_models_planned_each_for_itself_may_not_fit_together(basis):
    tight = models_of(basis, 0.5, 0.5, memory_mib=0.0015, requests_per_s=1)
    roomy = models_of(basis, 0.5, 0.5, memory_mib=None, requests_per_s=1)
    found = compare_rates(tight, [1.0, 2.0])
    memory = found.plans[0].memory_bytes["camera"]
    assert 0 < memory <= 0.0015 * 2**20
    assert found.alone is None
    assert sum(memory for memory in found.plans[0].memory_bytes.values()) > 0
    free = compare_rates(roomy, [1.0, 2.0])
    assert free.alone is not None
    assert free.alone.latency_s == pytest.approx(free.plans[0].latency_s, rel=1e-6)
    assert free.plans[0].objective < found.plans[0].objective * (1 - 1e-3)


def test_a_mix_by_weights_has_no_rates(basis):
    with pytest.raises(UsageError, match="give each model requests_per_s"):
        compare_rates(models_of(basis, 0.5, 0.5, memory_mib=None, requests_per_s=None), [1.0])
