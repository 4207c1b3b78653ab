from dataclasses import replace

from test_ilp import small_problem

from planner.explain import binding_budgets
from planner.problem import Energy
from planner.solvers import SolverOptions

FREE = replace(
    small_problem(), noise_power=None, memory_bytes=(None, None, None), latency_s=None, energy=None
)


def test_the_budget_in_the_way_is_named():
    assert binding_budgets(replace(FREE, latency_s=1e-9), SolverOptions()) == ("budget.latency_ms",)
    small = replace(FREE, memory_bytes=(0, 0, 0), latency_s=10.0)
    assert binding_budgets(small, SolverOptions()) == tuple(f"budget.memory_mib.{d}" for d in "abc")


def test_an_energy_budget_in_the_way_is_named():
    energy = Energy((1.0, 1.0, 1.0), (0.0,) * 3, (None, None, None), total_j=1e-9)
    assert binding_budgets(replace(FREE, energy=energy), SolverOptions()) == ("budget.total_energy_j",)
    device = replace(energy, total_j=None, limits_j=(1e-9, 1e-9, 1e-9))
    everywhere = binding_budgets(replace(FREE, energy=device), SolverOptions())
    assert everywhere == tuple(f"budget.energy_j.{d}" for d in "abc")


def test_budgets_that_bind_together_are_not_blamed_alone():
    assert binding_budgets(replace(FREE, latency_s=1e-9, memory_bytes=(0, 0, 0)), SolverOptions()) == ()
