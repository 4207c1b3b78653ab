import csv
import math
import re
from pathlib import Path

import msgspec
import pytest
from made_records import MEASURED, made_comparison, made_fleet, made_summary
from terminal_text import check_golden, printed

from planner.comparison.comparison_record import Row
from planner.plan.plan_record import TooFewSamples
from planner.report.tables.comparison_table import comparison_csv, comparison_table, worth_lines

MIXED = "one device, mixed precision"
GOLDEN = Path(__file__).parent / "golden"
replaced = msgspec.structs.replace


def text_of(**changes) -> str:
    return printed(comparison_table(made_comparison(**changes)))


def test_a_comparison_reads_as_the_golden_file_says(request):
    check_golden(text_of(), GOLDEN / "comparison.txt", request)


@pytest.mark.parametrize(
    "value",
    [
        *(1e3 * value for value in (0.04, 0.022, 0.0511, 0.0421, 0.0311, 0.0273)),
        *(100 * value for value in (0.0499, 0.1941)),
        *(0.1, 0.8, 100.0),
        *(41.2, 0.0311, 21.7, 0.0523),
        *(0.88, 0.72, 27.7, 72.3, 27.55, 1.999, 28.22, 11, 13),
        *(16.2, 17.1, 0.0403, MEASURED.noise_relative_rms, 100 * MEASURED.accuracy),
        *(23.3, 28.8, 23.3 / 28.8),
        *(17, 12.34),
    ],
)
def test_each_number_of_a_comparison_is_shown(value):
    shown = [float(number) for number in re.findall(r"(?<![\w.])\d+(?:\.\d+)?", text_of())]
    assert any(math.isclose(value, number, rel_tol=0.011) for number in shown)


def test_a_range_says_which_part_of_the_latency_its_bytes_take():
    row = next(row for row in text_of().splitlines() if row.strip().startswith("0.8 to 100"))
    plan = made_summary(1)
    shares = [plan.link_s / b / plan.latency_s(b) for b in (0.8, 100.0)]
    assert row.split()[-3:] == [f"{shares[0]:.0%}", "to", f"{shares[1]:.0%}"]


def test_a_metric_has_a_column_and_what_no_plan_has_has_none():
    plans = made_comparison().plans
    trial = plans[1].trial
    without = replaced(trial, measured=replaced(trial.measured, accuracy=None))
    text = text_of(plans=(plans[0], replaced(plans[1], trial=without)))
    head = next(row for row in text.splitlines() if "noise, predicted" in row)
    assert "metric" in head.split()
    assert "accuracy" not in head
    assert re.search(rf"\s{MEASURED.metric:g}\s+bit-equal", text)


def test_what_few_samples_do_not_tell_is_said_once():
    few = TooFewSamples(
        budget="metric_drop", limit=0.02, data="calibration", samples=8, measured=0.0083, with_margin=0.0243,
        needed=80,
    )  # fmt: skip
    rows = tuple(replaced(row, plan=1, too_few_samples=(few,)) for row in made_comparison().rows[:2])
    text = " ".join(text_of(rows=rows).split())
    assert text.count("plan 1: 8 held-back samples are too few to tell metric_drop 0.02") == 1
    both = tuple(replaced(row, plan=n) for n, row in enumerate(rows))
    text = " ".join(text_of(rows=both).split())
    assert text.count("8 held-back samples are too few") == 1
    assert "plans 0, 1: 8 held-back" in text


def test_a_plan_that_breaks_a_budget_when_it_runs_is_named_with_its_point():
    assert (
        "at 8 Mbit/s: plan 1 breaks a budget on the evaluation data: noise_relative_rms is 0.07" in text_of()
    )
    assert "at 20 Mbit/s: memory cannot be kept" in text_of()


def test_the_gain_is_never_below_nothing_but_for_rounding():
    rows = tuple(replaced(row, joint_gain=-1e-9) for row in made_comparison().rows[:1])
    assert " 0.0%" in text_of(rows=rows)
    assert "-0.0%" not in text_of(rows=rows)


def test_a_way_that_finds_no_plan_says_so():
    assert "none: planning that way finds no plan within the budgets" in text_of()
    assert "none:" not in text_of(rows=made_comparison().rows[1:])


def test_a_plan_that_a_device_never_leaves_says_never():
    row = next(row for row in text_of().splitlines() if row.strip().startswith("below 0.8"))
    assert row.split() == ["below", "0.8", "0", "never", "0.88", "27.7%"]


def test_budgets_that_vary_have_columns_of_their_own_and_no_bandwidth():
    rows = tuple(
        Row(bandwidth=None, budgets={"latency_ms": ms, "noise_relative_rms": 0.05}, status="optimal",
            plan=0, objective=ms / 2e3, bound=ms / 2e3)
        for ms in (31.0, 47.0)
    )  # fmt: skip
    text = text_of(rows=rows, pieces=(), unit="", links=(), front=None, plan_set=None)
    head = next(row for row in text.splitlines() if "latency_ms" in row)
    assert head.split()[:2] == ["latency_ms", "noise_relative_rms"]
    for ms in (31.0, 47.0):
        assert re.search(rf"\s{ms:g}\s+0\.05\s+0\s+{ms / 2:.2f}\s", text)
    assert "no link varies" in text
    assert "plan 0: cut behind unit 0" in text


def test_the_table_of_rows_has_each_baseline_and_each_digit():
    comparison = made_comparison()
    rows = list(csv.DictReader(comparison_csv(comparison).splitlines()))
    assert len(rows) == len(comparison.rows)
    for shown, row in zip(rows, comparison.rows, strict=True):
        for name in ("bandwidth", "status", "plan", "objective", "bound", "joint_gain"):
            own = getattr(row, name)
            assert shown[name] == ("" if own is None else str(own))
        for name in comparison.rows[0].baselines:
            own = row.baselines.get(name)
            assert shown[name] == ("" if own is None else str(own))
        units = [shown[name] for name in ("bandwidth_unit", "objective_name", "objective_unit")]
        assert units == ["Mbit/s", "latency", "s"]
    assert [row["summary"] for row in rows] == [
        "cut behind unit 0",
        "cut behind unit 1",
        "memory cannot be kept",
    ]


def test_the_table_of_rows_has_a_column_per_budget():
    rows = tuple(replaced(row, budgets={"latency_ms": 5.5}) for row in made_comparison().rows)
    text = comparison_csv(made_comparison(rows=rows))
    assert [row["latency_ms"] for row in csv.DictReader(text.splitlines())] == ["5.5"] * 3


def test_the_plans_of_a_fleet_read_as_the_golden_file_says(request):
    text = text_of(fleet=made_fleet(), pieces=(), rows=(), front=None, plan_set=None)
    check_golden(text, GOLDEN / "fleet.txt", request)


def test_whether_planning_jointly_is_worth_it_stands_in_words():
    comparison = made_comparison()
    assert list(worth_lines(comparison)) == [
        "splitting gains at most 47.7% of latency over the best single device in mixed precision, "
        "at 8 Mbit/s",
        "the joint plan: latency at most 19.4% below that of the best simpler way",
    ]
    alike = tuple(
        msgspec.structs.replace(row, baselines={MIXED: row.objective}, joint_gain=0.0)
        for row in comparison.rows
        if row.objective
    )
    assert list(worth_lines(msgspec.structs.replace(comparison, rows=alike))) == [
        "splitting gains nothing at any of these",
        "the joint plan: at each of these a simpler way is as good; which one, compare.csv says",
    ]
    assert not list(worth_lines(msgspec.structs.replace(comparison, rows=())))


def whole_on(*devices: str, objective: float = 0.05, alone: tuple[float | None, ...] = (0.05, 0.05)):
    """Return a comparison whose plans are on one device each, of which none is better than `alone`."""
    plans = tuple(replaced(made_summary(n), devices=(d,) * 2) for n, d in enumerate(devices))
    rows = tuple(
        replaced(
            row, objective=objective, baselines={"fp32 on x": 0.09, "one device": one and 0.2, MIXED: one}
        )
        for row, one in zip(made_comparison().rows[:2], alone, strict=True)
    )
    rows = tuple(
        replaced(
            row, baselines={k: v for k, v in row.baselines.items() if row.baselines[MIXED] or " on " not in k}
        )
        for row in rows
    )
    return made_comparison(plans=plans, rows=rows)


def test_a_gain_of_mixed_precision_alone_is_none_of_splitting():
    """The joint plan is 44 % below one device in one precision, and splits nothing."""
    first = next(worth_lines(whole_on("phone", "server")))
    assert first == "splitting gains nothing at any of these: all on phone up to 0.8, on server above"
    same = next(worth_lines(whole_on("phone", "phone")))
    assert same == "splitting gains nothing at any of these: all on phone"
    assert not any("splitting" in text for text in worth_lines(whole_on("x", "x")))


def test_where_no_device_keeps_the_budgets_alone_that_is_said():
    lines = list(worth_lines(whole_on("phone", "server", alone=(None, 0.1))))
    assert lines[:2] == [
        "at 0.4 Mbit/s no device keeps the budgets alone: only a split does",
        "splitting gains at most 44.4% of latency over the best single device in mixed precision, "
        "at 8 Mbit/s",
    ]


def test_a_link_that_no_plan_uses_is_named():
    idle = tuple(msgspec.structs.replace(plan, link_s=0.0) for plan in made_comparison().plans)
    said = "no plan sends anything over "
    assert said not in text_of()
    assert said not in text_of(plans=(*idle[:-1], msgspec.structs.replace(idle[-1], link_s=1.0)))
    assert said in text_of(plans=idle)
    assert said not in text_of(plans=idle, links=())


def test_the_status_of_a_row_without_a_plan_stays_in_one_line_on_a_narrow_terminal():
    row = replaced(made_comparison().rows[0], status="infeasible", plan=None, objective=None, reason="why")
    record = made_comparison(rows=(row, replaced(row, bandwidth=20.0)), front=None, plan_set=None)
    assert len(re.findall(r" infeasible\b", printed(comparison_table(record), width=80))) == 2


def test_a_comparison_without_a_plan_counts_none():
    assert "; no plan, " in text_of(plans=(), rows=(), pieces=(), front=None, plan_set=None)


def test_stages_that_are_not_timed_have_no_empty_columns_but_a_reason():
    untimed = made_comparison()
    trials = [plan.trial and replaced(plan.trial, compute_s=None, fixed_s=None) for plan in untimed.plans]
    plans = tuple(replaced(p, trial=trial) for p, trial in zip(untimed.plans, trials, strict=True))
    rows = tuple(replaced(row, measured_s=None, baseline_measured_s=None) for row in untimed.rows)
    text = text_of(plans=plans, rows=rows)
    assert "stages are not timed: " in text
    assert "stages timed in turn" not in text
    assert (
        text.split("every plan built")[1].split("plans are not timed in place")[0].count("measured")
        == text_of().split("every plan built")[1].split("the joint plan")[0].count("measured") - 1
    )


def test_a_way_that_is_predicted_to_be_better_than_a_timed_plan_is_not_hidden():
    rows = tuple(replaced(row, joint_gain=-0.048) for row in made_comparison().rows[:1])
    assert " -4.8%" in text_of(rows=rows)
    comparison = msgspec.structs.replace(made_comparison(), rows=rows)
    assert "not timed are predicted to be up to 4.8% better" in list(worth_lines(comparison))[-1]
