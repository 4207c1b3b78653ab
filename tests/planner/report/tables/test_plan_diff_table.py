from dataclasses import replace

import msgspec
from made_records import made_plan
from terminal_text import printed

from planner.plan.plan_diff import CostChange, PlanDiff, diff_plans
from planner.report.tables.plan_diff_table import plan_diff_table
from profiling.precision import Precision
from profiling.records.profile_diff import ProfileDiff, UnitChange


def test_what_did_not_change_is_said_in_a_line():
    text = printed(plan_diff_table(diff_plans(made_plan(), made_plan())))
    assert "no unit moved" in text
    assert "on the links" not in text


def test_each_unit_that_moved_has_a_row_up_to_twenty():
    names = tuple(f"unit_{n}" for n in range(30))
    plan = made_plan(names)
    moved = tuple(msgspec.structs.replace(a, device="elsewhere") for a in plan.assignments)
    text = printed(plan_diff_table(diff_plans(plan, msgspec.structs.replace(plan, assignments=moved))))
    assert "30 units moved" in text
    assert sum("elsewhere," in row for row in text.splitlines()[1:]) == 20
    assert "20 of 30 units are shown; --json has all" in text
    assert max(map(len, text.splitlines())) <= 80


def test_a_summary_counts_moves_and_precisions_and_these_come_first():
    names = tuple(f"unit_{n}" for n in range(30))
    plan = made_plan(names)
    replaced = msgspec.structs.replace
    plan = replaced(
        plan, assignments=tuple(replaced(a, device="x", precision=Precision.FP32) for a in plan.assignments)
    )
    last = (28, 29)
    after = tuple(
        replaced(a, device="y", precision=Precision.INT8 if n in last else a.precision)
        for n, a in enumerate(plan.assignments)
    )
    text = printed(plan_diff_table(diff_plans(plan, replaced(plan, assignments=after))))
    assert text.splitlines()[0].strip() == "30 units x > y; 2 fp32 > int8"
    rows = [row.split()[0] for row in text.splitlines() if row.strip().startswith("unit_")]
    assert rows[:3] == ["unit_28", "unit_29", "unit_0"]
    assert "before ms" in text
    stays = tuple(replaced(a, device="x") for a in after)
    text = printed(plan_diff_table(diff_plans(plan, replaced(plan, assignments=stays))))
    assert text.splitlines()[0].strip() == "2 units fp32 > int8"


def test_a_unit_that_stays_in_another_precision_has_not_moved():
    plan = made_plan()
    first, *others = plan.assignments
    other = msgspec.structs.replace(first, precision=Precision.INT16)
    text = printed(
        plan_diff_table(diff_plans(plan, msgspec.structs.replace(plan, assignments=(other, *others))))
    )
    assert "1 unit in another precision" in text
    assert "moved" not in text


def diff_of(*costs: CostChange) -> PlanDiff:
    return PlanDiff(settings={}, moves=(), units=1, only_before=(), only_after=(), costs=costs, profiles={})


def test_values_have_units_and_accuracy_changes_by_points():
    costs = (
        CostChange("objective: latency", "s", 0.0166, 0.0125, None),
        CostChange("accuracy", "share", 0.4736, 0.4718, None),
        CostChange("memory of camera", "B", 0.0, 2048.0, None),
    )
    text = printed(plan_diff_table(diff_of(*costs)))
    assert "16.60 ms" in text
    assert "-0.18 points" in text
    assert "from 0" in text
    assert "inf" not in text


def test_units_that_differ_within_one_measurement_are_said_to_come_from_timing_in_place():
    change = UnitChange("conv", Precision.INT8, 1e-5, 2e-5, 1.0, 0.5)
    whole = dict.fromkeys((Precision.FP32, Precision.INT8), 0.0)
    one = ProfileDiff(settings={}, units=2, pace=1.0, median_change=0.1, whole=whole, changes=(change,))
    two = replace(one, pace=1.1)
    shown = printed(plan_diff_table(replace(diff_of(), profiles={"server": one})))
    assert "costs and noise of server:" in shown
    said = [
        "timed in place"
        in " ".join(printed(plan_diff_table(replace(diff_of(), profiles={"server": p}))).split())
        for p in (one, two, replace(one, changes=()))
    ]
    assert said == [True, False, False]


def test_a_tensor_that_no_longer_crosses_is_listed():
    plan = made_plan()
    text = printed(plan_diff_table(diff_plans(plan, msgspec.structs.replace(plan, cuts=()))))
    assert "on the links" in text
    assert plan.cuts[0].wire.value in text
