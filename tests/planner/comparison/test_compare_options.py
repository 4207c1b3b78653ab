import json

import pytest
from made_records import SCENARIO

from planner.comparison.compare_options import CompareOptions, compare_request
from planner.comparison.sweep_points import with_budgets
from planner.errors import ScenarioError, UsageError
from planner.problem.quantities import CostMetric
from planner.scenario.loader import parse_scenario

OWN = parse_scenario(json.dumps(SCENARIO).encode())


def asked(jobs: int = 1, **options):
    return compare_request(CompareOptions(**options), OWN, jobs)


def test_what_is_left_out_is_not_varied():
    sweep, wanted = asked(bandwidth="1,10")
    assert sweep.bandwidths.values == (1.0, 10.0)
    assert dict(sweep.budgets) == {}
    assert (wanted.axes, wanted.plan_set, wanted.trials, wanted.jobs) == ((), None, False, 1)


def test_every_option_reaches_what_it_speaks_of():
    sweep, wanted = asked(
        jobs=3, bandwidth="1,10", links=("camera-server",), noise="0.01,0.02", memory="camera=1,2",
        pareto="latency,noise", points=7, verify=True,
    )  # fmt: skip
    assert sweep.bandwidths.links == ("camera-server",)
    assert list(sweep.budget_sets()) == [
        {"noise_relative_rms": noise, "memory_mib.camera": memory}
        for noise in (0.01, 0.02)
        for memory in (1, 2)
    ]
    assert (wanted.jobs, wanted.corners, wanted.trials) == (3, 7, True)
    assert wanted.axes == (CostMetric.LATENCY, CostMetric.NOISE)


def test_a_budget_on_a_metric_varies_where_the_scenario_has_one():
    with pytest.raises(ScenarioError, match="--metric-drop 0.1: budget.metric_drop of the scenario needs"):
        asked(metric_drop="0.1")
    own = parse_scenario(json.dumps(SCENARIO | {"metric": "detection:precision"}).encode())
    sweep, _ = compare_request(CompareOptions(metric_drop="0.01,0.1"), own, 1)
    assert [with_budgets(own, one).budget.metric_drop for one in sweep.budget_sets()] == [0.01, 0.1]
    detector = parse_scenario(
        json.dumps(
            SCENARIO
            | {
                "metric": "coco_ap",
                "data": {
                    "calibration": {"images": "c", "image": {}},
                    "evaluation": {"images": "e", "image": {}, "labels": "e.json"},
                },
            }
        ).encode()
    )
    with pytest.raises(ScenarioError, match="data.calibration.labels of the scenario must name COCO"):
        compare_request(CompareOptions(metric_drop="0.1"), detector, 1)


def test_plans_to_hold_are_met_as_the_range_the_distribution_or_the_trace_says(tmp_path):
    plain = asked(bandwidth="1..10", plans=2, hysteresis=0.25)[1].plan_set
    assert (plain.most, plain.hysteresis) == (2, 0.25)
    assert (min(plain.occurrence.values), max(plain.occurrence.values)) == pytest.approx((1, 10))
    told = asked(bandwidth="1..10", plans=2, distribution="2:0.25,8:0.75")[1].plan_set
    assert (told.occurrence.values, told.occurrence.shares) == ((2.0, 8.0), (0.25, 0.75))
    trace = tmp_path / "t.csv"
    trace.write_text("seconds,mbit\n" + "".join(f"{n},{2 + n % 2}\n" for n in range(6)))
    sweep, wanted = asked(plans=1, trace=trace)
    assert wanted.plan_set.occurrence.in_time
    assert (sweep.bandwidths.values[0], sweep.bandwidths.values[-1]) == (2.0, 3.0)  # as far as the trace goes


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "nothing to compare: name --bandwidth, --noise, --accuracy-drop, --metric-drop, --memory"),
        ({"noise": "0.1", "links": ("x",)}, "--link x: needs --bandwidth"),
        ({"bandwidth": "1,2", "points": 1}, "--points 1: plans on a front are 2 to 1000"),
        ({"bandwidth": "1,2", "jobs": 0}, "--jobs 0: processes at once are 1 to 1024"),
        ({"bandwidth": "1,2", "jobs": 1025}, "--jobs 1025"),
        ({"bandwidth": "1..2", "plans": 0}, "--plans 0: plans that a runtime holds are 1 to 1000"),
        ({"bandwidth": "1..2", "plans": 2, "hysteresis": -0.1}, "--hysteresis -0.1: must be a fraction >= 0"),
        ({"bandwidth": "1..2", "plans": 2, "hysteresis": float("nan")}, "--hysteresis nan"),
        ({"bandwidth": "1..2", "distribution": "1:1,2:1"}, "--distribution: says how plans are met"),
        ({"bandwidth": "1..2", "trace": "t"}, "--trace: says how plans are met"),
        ({"plans": 2, "trace": "t", "distribution": "1:1"}, "--trace and --distribution both say"),
        ({"plans": 2}, "--plans: needs --bandwidth LOW..HIGH, --trace or --distribution"),
        ({"plans": 2, "distribution": "5:1"}, "never changes, so that one plan does"),
        ({"bandwidth": "1..2", "plans": 2, "noise": "0.1,0.2"}, "--plans: is for one set of budgets"),
        ({"bandwidth": "1..2", "plans": 2, "distribution": "1:1,5:1"}, "--bandwidth 1..2: does not cover 5"),
    ],
)
def test_options_that_do_not_go_together_are_told_in_one_line(options, message):
    with pytest.raises(UsageError) as told:
        asked(**options)
    assert message in str(told.value)
    assert "\n" not in str(told.value)


def test_what_does_not_fit_the_scenario_is_the_scenarios_fault():
    with pytest.raises(ScenarioError, match="--link up: no such link"):
        asked(bandwidth="1,2", links=("up",))
