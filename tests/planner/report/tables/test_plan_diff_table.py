import msgspec
from made_records import made_plan
from terminal_text import printed

from planner.plan.plan_diff import diff_plans
from planner.report.tables.plan_diff_table import plan_diff_table


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
    assert text.count("elsewhere") == 20
    assert "the first 20 of 30 units are shown" in text
    assert max(map(len, text.splitlines())) <= 80


def test_a_tensor_that_no_longer_crosses_is_listed():
    plan = made_plan()
    text = printed(plan_diff_table(diff_plans(plan, msgspec.structs.replace(plan, cuts=()))))
    assert "on the links" in text
    assert plan.cuts[0].wire.value in text
