import json

import pytest
from made_records import SCENARIO

from planner.comparison.sweep_points import Sweep, with_budgets
from planner.scenario.loader import dump_scenario, parse_scenario

OWN = parse_scenario(
    json.dumps(
        SCENARIO | {"budget": {"memory_mib": {"camera": 4.0, "server": 8.0}, "latency_ms": 90.0}}
    ).encode()
)


def test_budgets_that_vary_make_a_grid_in_their_order():
    sets = list(Sweep(None, {"a": (1.0, 2.0), "b": (3.0, 4.0)}).budget_sets())
    assert sets == [{"a": 1, "b": 3}, {"a": 1, "b": 4}, {"a": 2, "b": 3}, {"a": 2, "b": 4}]
    assert list(Sweep(None).budget_sets()) == [{}]


def test_a_budget_that_varies_takes_the_place_of_the_scenarios_and_leaves_the_others():
    changed = with_budgets(OWN, {"noise_relative_rms": 0.1, "memory_mib.camera": 2.0})
    assert changed.budget.noise_relative_rms == 0.1
    assert changed.budget.memory_mib == {"camera": 2.0, "server": 8.0}
    assert changed.budget.latency_ms == 90.0
    assert OWN.budget.memory_mib == {"camera": 4.0, "server": 8.0}
    assert with_budgets(OWN, {}) == OWN


@pytest.mark.parametrize("budgets", [{"accuracy_drop": 0.02}, {"memory_mib.server": 1.0, "latency_ms": 5.0}])
def test_a_scenario_with_other_budgets_is_one_that_can_be_written_and_read(budgets):
    changed = with_budgets(OWN, budgets)
    assert parse_scenario(dump_scenario(changed).encode()) == changed
