import msgspec
import pytest
from copied_models import models_of, searched_at
from measured_scenarios import small_basis

from planner.problem.quantities import CostMetric, Quantity
from planner.refinement.measured_models import search_noise_limits, with_noise_limits
from planner.refinement.noise_limit_search import SearchState


@pytest.fixture(scope="module")
def basis(tmp_path_factory):
    return small_basis(tmp_path_factory.mktemp("small"))


def test_one_model_among_one_is_planned_as_it_is_alone(basis):
    models = models_of(basis, 1.0, memory_mib=None, requests_per_s=None)
    joint = models.formulate(models.planning_problems((basis.latency,)))
    together = search_noise_limits(models, joint, [SearchState()])
    alone = basis.noise_limit_search.solve_and_try_out(
        joint.parts[0].problem.with_limit(Quantity(CostMetric.MEMORY, 0), None), SearchState()
    )
    assert together.result.objective == pytest.approx(alone.result.objective, rel=1e-9)
    assert together.unmet == alone.unmet == ()


def test_each_model_keeps_its_error_budgets_on_held_back_data(basis):
    models = models_of(basis, 0.75, 0.25, memory_mib=0.003, requests_per_s=4)
    searched = searched_at(models, 4.0)
    for model, search in enumerate(models.searches):
        part = searched.part(model)
        [delivered] = [row for row in part.rounds if row.delivered]
        assert delivered.broken == ()
        again = search.errors_of(part.problem, part.result.choice)
        assert again.noise_relative_rms == pytest.approx(delivered.held_back.noise_relative_rms)


def test_a_tighter_budget_of_one_model_leaves_the_other_one_its_noise(basis):
    models = models_of(basis, 0.5, 0.5, memory_mib=None, requests_per_s=4, noises=(0.002, 0.1))
    searched = searched_at(models, 4.0)
    shown = []
    for model in range(2):
        [delivered] = [row for row in searched.part(model).rounds if row.delivered]
        assert delivered.broken == ()
        shown.append(delivered.held_back.noise_relative_rms)
    free = searched_at(models_of(basis, 0.5, 0.5, memory_mib=None, requests_per_s=4), 4.0)
    [freely] = [row for row in free.part(0).rounds if row.delivered]
    assert shown[0] <= 0.002 < freely.held_back.noise_relative_rms
    assert searched.joint.cost_of(1, searched.result.choice).latency_s == pytest.approx(
        free.joint.cost_of(1, free.result.choice).latency_s
    )


def test_a_budget_that_even_fp32_breaks_is_told_with_its_model(basis, monkeypatch):
    models = models_of(basis, 0.5, 0.5, memory_mib=None, requests_per_s=4)
    errors_of = type(basis).held_back_errors

    def worse(self, configuration):
        return msgspec.structs.replace(errors_of(self, configuration), noise_relative_rms=0.9)

    monkeypatch.setattr(type(basis), "held_back_errors", worse)
    searched = searched_at(models, 4.0)
    assert [text.partition(" ")[0] for text in searched.unmet] == ["m0:", "m1:"]
    assert "noise_relative_rms" in searched.unmet[0]


def test_a_limit_on_noise_counts_by_the_share_of_the_requests(basis):
    models = models_of(basis, 0.75, 0.25, memory_mib=None, requests_per_s=None)
    joint = models.formulate(models.planning_problems((basis.latency, basis.latency)))
    limited = with_noise_limits(joint, (0.5, None))
    assert limited.tightest_limit(CostMetric.NOISE, model=0) == pytest.approx(0.375)
    assert Quantity(CostMetric.NOISE, model=1) not in {limit.quantity for limit in limited.limits}
