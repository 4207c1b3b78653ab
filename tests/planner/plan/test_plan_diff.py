import json

import msgspec
import pytest
from made_records import SCENARIO, made_latency, made_plan

from planner.plan.plan_diff import CostChange, diff_plans
from planner.plan.plan_record import WireFormat
from profiling.on_device.measurement_order import FORMAT
from profiling.precision import Precision
from profiling.records.profile import Profile


def changed(plan, number: int, **changes):
    """The plan with other values of one assignment."""
    assignments = list(plan.assignments)
    assignments[number] = msgspec.structs.replace(assignments[number], **changes)
    return msgspec.structs.replace(plan, assignments=tuple(assignments))


def test_a_plan_does_not_differ_from_itself():
    diff = diff_plans(made_plan(), made_plan())
    assert (diff.settings, diff.moves, diff.profiles) == ({}, (), {})
    assert (diff.only_before, diff.only_after) == ((), ())
    assert diff.units == len(made_plan().assignments)
    assert diff.costs
    assert all(cost.change == 0 for cost in diff.costs)


def test_a_unit_moves_if_its_device_or_its_precision_is_another_one_not_if_only_its_seconds_are():
    plan = made_plan()
    first = plan.assignments[0]
    elsewhere = changed(plan, 0, device="server" if first.device == "camera" else "camera")
    otherwise = changed(plan, 1, precision=Precision.INT16)
    slower = changed(plan, 0, compute_s=9.0)
    assert [move.unit for move in diff_plans(plan, elsewhere).moves] == [first.unit]
    (move,) = diff_plans(plan, otherwise).moves
    assert move.before.precision == plan.assignments[1].precision
    assert move.after.precision == Precision.INT16
    assert diff_plans(plan, slower).moves == ()


def test_units_of_one_plan_alone_are_told_and_do_not_count_as_common():
    plan = made_plan()
    fewer = msgspec.structs.replace(plan, assignments=plan.assignments[1:])
    diff = diff_plans(plan, fewer)
    assert [(move.unit, move.after) for move in diff.moves] == [(plan.assignments[0].unit, None)]
    assert diff.units == len(fewer.assignments)


def test_a_tensor_that_crosses_in_another_form_is_in_both_lists():
    plan = made_plan()
    cut = msgspec.structs.replace(plan.cuts[0], wire=WireFormat.FLOAT16, seconds=1.0)
    slower = msgspec.structs.replace(plan.cuts[0], seconds=1.0)
    diff = diff_plans(plan, msgspec.structs.replace(plan, cuts=(cut,)))
    assert (diff.only_before, diff.only_after) == (plan.cuts, (cut,))
    assert diff_plans(plan, msgspec.structs.replace(plan, cuts=(slower,))).only_after == ()


def test_what_the_scenarios_say_otherwise_is_named_as_set_takes_it():
    other = json.loads(json.dumps(SCENARIO))
    other["links"][0]["bandwidth_mbit_per_s"] = 77.0
    other["added"] = {"key": [1, 2]}
    settings = diff_plans(made_plan(), made_plan(scenario=other)).settings
    before = SCENARIO["links"][0]["bandwidth_mbit_per_s"]
    assert settings == {
        "links.0.bandwidth_mbit_per_s": (before, 77.0),
        "added.key.0": (None, 1),
        "added.key.1": (None, 2),
    }


@pytest.mark.parametrize(
    ("before", "after", "spread", "change", "within"),
    [
        (2.0, 3.0, None, 0.5, False),
        (2.0, 1.9, 0.1, -0.05, True),
        (2.0, 1.0, 0.1, -0.5, False),
        (0.0, 1.0, 0.1, float("inf"), False),
        (0.0, 0.0, None, 0.0, False),
    ],
)
def test_a_change_is_relative_and_may_be_within_the_spread(before, after, spread, change, within):
    cost = CostChange("latency", "s", before, after, spread)
    assert cost.change == pytest.approx(change)
    assert cost.is_within_spread == within


def test_objectives_of_two_kinds_are_not_compared():
    plan = made_plan()
    energy = msgspec.structs.replace(plan.objective, name="energy")
    costs = diff_plans(plan, msgspec.structs.replace(plan, objective=energy)).costs
    assert not [cost for cost in costs if cost.cost.startswith("objective")]


def measured(spread: float) -> dict[str, Profile]:
    latency = made_latency(spread=spread, samples=9)
    return {"server": Profile(FORMAT, "server", latency, ())}


def test_the_spread_of_runs_speaks_of_what_devices_compute_and_not_of_links():
    """Of the made plan's 213.45 ms, links take 201.1 ms, which are calculated."""
    plan = made_plan()
    faster = msgspec.structs.replace(plan.predicted, latency_s=plan.predicted.latency_s * 0.9)
    after = msgspec.structs.replace(plan, predicted=faster)
    costs = {cost.cost: cost for cost in diff_plans(plan, after, measured(0.25), measured(0.25)).costs}
    latency = costs["latency of one request"]
    assert latency.spread == pytest.approx(0.5 * (0.21345 - 0.2011) / 0.21345)
    assert not latency.is_within_spread
    assert costs["computing on camera"].spread == 0.5
    assert costs["of it on links"].spread is None
    assert costs["objective: latency"].spread == latency.spread


def test_the_spread_of_runs_says_nothing_where_units_moved_between_devices():
    plan = made_plan()
    first = plan.assignments[0]
    moved = changed(plan, 0, device="server" if first.device == "camera" else "camera")
    costs = diff_plans(plan, moved, measured(0.25), measured(0.25)).costs
    assert [cost.cost for cost in costs if cost.spread is not None and "RMS" not in cost.cost] == []
    recoded = changed(plan, 0, precision=Precision.INT16)
    costs = diff_plans(plan, recoded, measured(0.25), measured(0.25)).costs
    assert [cost.cost for cost in costs if cost.spread is not None and "RMS" not in cost.cost]


def test_the_spread_of_energy_is_of_what_devices_draw_while_they_compute():
    watts = json.loads(json.dumps(SCENARIO))
    watts["devices"] = [
        {"name": "camera", "active_watt": 2.0, "idle_watt": 1.0},
        {"name": "server", "active_watt": 3.0},
    ]
    plan = made_plan(scenario=watts)
    costs = {cost.cost: cost for cost in diff_plans(plan, plan, measured(0.1), measured(0.1)).costs}
    expected = 0.2 * (0.00919 * 2.0 + 0.00316 * 3.0) / 0.0577
    assert costs["energy of one request"].spread == pytest.approx(expected)
