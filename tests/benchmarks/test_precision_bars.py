"""What the bars of plans over all precisions make of rows: who is slower, faster, smaller, and where not."""

import math
from dataclasses import replace

import msgspec
import pytest
from competing_plans import Row, drop_of, table
from precision_bars import ACCURACY, FRONT, MEMORY, TOOL, Shown, bars

from planner.plan.plan_record import Metrics
from profiling.precision import Precision

ROW = Row(
    "net", TOOL, "noise", ratio=0.5, noise=0.2, budget=0.2, plan_ratio=0.4, plan_noise=0.1,
    plan_over_competitor=0.8, apart=0.01, fp32_accuracy=0.9, accuracy=0.9, plan_accuracy=0.895,
    stored_bytes=100, plan_bytes=55,
)  # fmt: skip
SLOWER = {"plan_over_competitor": 1.2, "plan_ratio": 0.6}


def verdict(shown, text):
    """Return whether the one bar with that text is kept."""
    (found,) = [bar for bar in bars(shown) if text in bar.text]
    return found.kept


def five(row, *others):
    """Return five models with a row each: some have their own."""
    return [Shown(f"n{k}", [one]) for k, one in enumerate([*others, *[row] * (5 - len(others))])]


def test_no_plan_may_be_slower_than_the_tool_and_three_of_five_must_be_faster():
    same = replace(ROW, plan_over_competitor=1.005)
    assert verdict(five(ROW, same, same), "control (NNCF): models with")
    assert verdict(five(ROW, same, same), "control (NNCF): plans that are slower")
    assert not verdict(five(ROW, same, same, same), "control (NNCF): models with")
    assert not verdict(five(ROW, replace(ROW, **SLOWER)), "control (NNCF): plans that are slower")
    assert not verdict(five(ROW, replace(ROW, failed="no plan")), "control (NNCF): plans that are slower")


def test_a_model_that_the_tool_did_not_do_counts_as_none_with_a_faster_plan():
    rest = [Shown(f"n{k}", [], failed=("tool: refused",)) for k in range(3)]
    shown = [Shown("a", [ROW]), Shown("b", [ROW]), *rest]
    assert not verdict(shown, "control (NNCF): models with")
    assert [bar.kept for bar in bars(shown) if "left out" in bar.text] == [False] * 3


def test_one_faster_plan_along_the_front_counts_and_one_slower_breaks_it():
    front = replace(ROW, equal=FRONT, competitor="fp32 + int8")
    same = replace(front, plan_over_competitor=1.0)
    shown = [Shown(f"n{k}", [same, front, same]) for k in range(5)]
    assert verdict(shown, "front: models with")
    assert verdict(shown, "front: plans that are slower")
    shown[3].rows.append(replace(front, **SLOWER))
    assert not verdict(shown, "front: plans that are slower")


@pytest.mark.parametrize(("all_s", "kept"), [(40.0, True), (41.0, False)])
def test_a_profile_of_all_precisions_may_take_four_times_as_long(all_s, kept):
    assert verdict([Shown("net", [ROW], two_s=10.0, all_s=all_s)], "profile") is kept


@pytest.mark.parametrize(
    ("changed", "kept"),
    [
        ({}, True),
        ({"plan_bytes": 61}, False),
        ({"plan_accuracy": 0.88}, False),
        ({"failed": "no plan"}, False),
    ],
)
def test_least_memory_is_few_bytes_at_hardly_any_loss(changed, kept):
    shown = [Shown("kwt1", [replace(ROW, equal=MEMORY, competitor="int8", **changed)])]
    assert verdict(shown, "least bytes") is kept


def test_the_best_single_precision_is_the_fastest():
    slow = replace(ROW, competitor=Precision.INT16, ratio=2.0, plan_over_competitor=0.5)
    fast = replace(ROW, competitor=Precision.INT8, ratio=0.4, plan_over_competitor=1.0)
    assert not verdict([Shown("kwt1", [slow, fast])], "fastest single")
    assert verdict([Shown("kwt1", [slow, replace(fast, plan_over_competitor=0.9)])], "fastest single")
    louder = replace(fast, plan_over_competitor=0.9, plan_noise=0.3)
    assert not verdict([Shown("kwt1", [slow, louder])], "fastest single")


@pytest.mark.parametrize(
    ("int8_ratio", "plan_ratio", "kept"), [(0.5, 0.6, True), (0.5, 0.61, False), (1.1, 1.05, False)]
)
def test_a_detector_keeps_most_of_the_gain_of_int8(int8_ratio, plan_ratio, kept):
    row = replace(ROW, equal=ACCURACY, ratio=int8_ratio, plan_ratio=plan_ratio)
    assert verdict([Shown("yolox", [row])], "plan beside fp32") is kept
    assert not verdict([Shown("yolox", [replace(row, plan_accuracy=0.89)])], "plan beside fp32")


def test_a_small_classifier_is_faster_than_fp32_and_as_right():
    row = replace(ROW, equal=ACCURACY)
    assert verdict([Shown("mobilenetv1", [row])], "plan beside fp32")
    assert not verdict([Shown("mobilenetv1", [replace(row, plan_ratio=1.0)])], "plan beside fp32")
    assert not verdict([Shown("mobilenetv1", [replace(row, fp32_accuracy=0.906)])], "plan beside fp32")


def test_a_drop_is_of_the_metric_where_there_is_one():
    known = Metrics(
        noise_relative_rms=0.1,
        max_abs_error=1.0,
        top1_agreement=None,
        accuracy=0.8,
        accuracy_fp32=0.9,
        samples=9,
    )
    assert drop_of(known) == pytest.approx(0.1)
    assert drop_of(msgspec.structs.replace(known, metric=0.3, metric_fp32=0.35)) == pytest.approx(0.05)
    with pytest.raises(ValueError, match="without labels"):
        drop_of(msgspec.structs.replace(known, accuracy=None))


def test_a_table_has_a_row_for_each_competitor_and_says_where_there_is_no_plan():
    made = table([ROW, replace(ROW, failed="no plan")], "net")
    cells = [list(column.cells) for column in made.columns]
    assert made.row_count == 2
    assert ["0.400", "no plan"] in cells
    assert ["0.800", ""] in cells
    assert ["90.0%", "90.0%"] in cells
    assert ["89.5%", "89.5%"] in cells
    assert ["0.55", "0.55"] in cells


def test_what_a_process_tells_comes_back_even_where_noise_is_infinite():
    told = Shown("net", [replace(ROW, noise=math.inf)], 1.0, 2.0, ("tool: refused",))
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(told), type=Shown) == told
