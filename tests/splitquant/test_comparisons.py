import copy
import html
import json
import pickle
import sys
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import msgspec
import numpy as np
import pytest
from made_records import made_comparison, made_fleet
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

import splitquant as sq
from planner.cli.commands import main

mpl.use("agg")


@pytest.fixture(scope="module")
def scenario(_prepared, tmp_path_factory) -> dict:
    """Return a scenario whose camera is slow, so that the best plan depends on the bandwidth."""
    folder = tmp_path_factory.mktemp("compared")
    sq.profile(_prepared / "scenario.yaml", "camera").save(folder / "camera.json")
    content = sq.load_scenario(_prepared / "scenario.yaml").to_dict()
    content["devices"][0]["profile"] = str(folder / "camera.json")
    content["devices"][1]["speedup"] = 1000.0
    for link in content["links"]:
        link["latency_ms"] = 0.0
    return content


@pytest.fixture(scope="module")
def compared(scenario) -> sq.Comparison:
    return sq.compare(scenario, bandwidths="1..100000")


def test_breakpoints_are_where_two_plans_are_equally_good(compared):
    assert compared.breakpoints
    plans = compared.record.plans
    for point in compared.breakpoints:
        assert point.plan_below != point.plan_above
        below, above = plans[point.plan_below], plans[point.plan_above]
        assert below.latency_s(point.bandwidth) == pytest.approx(above.latency_s(point.bandwidth), rel=1e-3)
        assert below.latency_s(point.bandwidth / 2) < above.latency_s(point.bandwidth / 2)
    values = [point.bandwidth for point in compared.breakpoints]
    assert values == sorted(values)


def test_the_command_compares_the_same(compared, scenario, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("s.json").write_text(json.dumps(scenario))
    with pytest.raises(SystemExit) as done:
        main(["compare", "s.json", "--bandwidth", "1..100000", "--out", "theirs", "--jobs", "1"])
    assert done.value.code == 0
    compared.save("mine")
    compared.save("mine")
    records = [json.loads(Path(name, "compare.json").read_text()) for name in ("mine", "theirs")]
    for record in records:
        for key in ("runtime_s", "files", "solves"):
            del record[key]
    assert records[0] == records[1]


@pytest.mark.parametrize(
    "bandwidths", [[1, 10], (1.0, 10.0), np.array([1, 10]), "1,10", range(1, 11, 9), {1: 0, 10: 0}.keys()]
)
def test_values_are_taken_as_people_have_them(scenario, bandwidths):
    assert [row.bandwidth for row in sq.compare(scenario, bandwidths=bandwidths).record.rows] == [1, 10]


def test_one_value_is_one_row(scenario):
    compared = sq.compare(scenario, bandwidths=5, links="all")
    assert [row.bandwidth for row in compared.record.rows] == [5]
    assert compared.record.unit == "x"


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({}, sq.UsageError, "nothing to compare"),
        ({"bandwidths": [10, 1]}, sq.ScenarioError, "1 comes after 10; write them ascending"),
        ({"bandwidths": [0]}, sq.ScenarioError, "0 is not a number above 0"),
        ({"bandwidths": ["fast"]}, sq.ScenarioError, "'fast' is not a number"),
        ({"bandwidths": []}, sq.ScenarioError, "a list of values to compare is empty"),
        ({"bandwidths": [1], "links": "x-y"}, sq.ScenarioError, "links x-y: no such link"),
        ({"memory": {"camera": 1, "server": 1}}, sq.UsageError, "memory: of one device at a time"),
        ({"memory": {"cam": [1]}}, sq.ScenarioError, "devices are camera, server"),
        ({"bandwidths": 1, "jobs": 0}, sq.UsageError, "jobs 0"),
        ({"bandwidths": 1, "trace": "t.csv"}, sq.UsageError, "trace: says how plans are met"),
        ({"plans": 2, "distribution": {1: -1, 2: 1}}, sq.ScenarioError, "distribution"),
        ({"plans": 2, "distribution": [1, 2]}, sq.UsageError, "distribution: [1, 2] is no mapping"),
        ({"memory": [1]}, sq.UsageError, "memory: [1] is no mapping"),
        ({"pareto": 3}, sq.UsageError, "3 is no name, and no list of names"),
        ({"bandwidths": 1, "links": None}, sq.UsageError, "None is no name"),
        ({"bandwidths": 1, "jobs": 1.5}, sq.UsageError, "jobs 1.5: must be a whole number"),
        ({"bandwidths": "1..2", "plans": 1.5}, sq.UsageError, "plans 1.5: must be a whole number"),
        ({"pareto": "latency,noise", "points": "3"}, sq.UsageError, "points '3': must be a whole number"),
        ({"bandwidths": "1..2", "plans": 2, "hysteresis": "0.1"}, sq.UsageError, "hysteresis '0.1': must"),
    ],
)
def test_arguments_that_do_not_go_together_are_told_as_the_command_tells_them(scenario, options, error, text):
    with pytest.raises(error) as caught:
        sq.compare(scenario, **options)
    assert text in str(caught.value)


def test_budgets_make_rows_and_no_curve(scenario):
    compared = sq.compare(scenario, noise=[0.01, 0.5], memory={"camera": [1, 2]})
    found = [tuple(row.budgets.items()) for row in compared.record.rows]
    assert found == [
        (("noise_relative_rms", noise), ("memory_mib.camera", memory))
        for noise in (0.01, 0.5)
        for memory in (1, 2)
    ]
    assert compared.breakpoints == ()
    with pytest.raises(sq.UsageError, match="plot draws latency over bandwidth"):
        compared.plot()
    assert "budgets" in compared._repr_html_()


def test_plans_to_hold_and_fronts_are_those_of_the_command(scenario):
    compared = sq.compare(
        scenario, plans=2, distribution={1: 1, 100000: 1}, pareto=["latency", "noise"], points=3
    )
    assert compared.record.plan_set is not None
    assert compared.record.front is not None
    assert compared.record.front.axes == ("latency", "noise")


def test_a_comparison_is_drawn_on_axes_of_ones_own_and_on_new_ones(compared):
    own = Figure().add_subplot()
    assert compared.plot(own) is own
    assert own.get_ylabel() == "latency of one request, ms"
    axes = compared.plot()
    assert axes is not own
    plt.close(axes.figure)


def test_a_frame_has_a_row_per_bandwidth(compared):
    pd = pytest.importorskip("pandas")
    frame = compared.to_dataframe()
    assert frame["measured_s"].dtype == frame["baseline_measured_s"].dtype == float
    assert frame["measured_s"].isna().all()
    assert list(frame["bandwidth"]) == [row.bandwidth for row in compared.record.rows]
    assert frame["latency_s"].to_numpy() == pytest.approx(frame["objective"].to_numpy(), rel=1e-6)
    assert frame["plan"].dtype == "Int64"
    assert (frame["one device"] >= frame["objective"] * (1 - 1e-6)).all()
    assert isinstance(frame, pd.DataFrame)


def test_a_row_without_a_plan_stays_in_the_frame(scenario):
    pd = pytest.importorskip("pandas")
    tight = scenario | {"budget": {"memory_mib": {"camera": 0.0001, "server": 0.0001}}}
    frame = sq.compare(tight, bandwidths=[1, 10]).to_dataframe()
    assert list(frame["status"]) == ["infeasible", "infeasible"]
    assert frame["plan"].isna().all()
    assert frame["latency_s"].isna().all()
    assert all(frame["reason"])
    assert pd.api.types.is_integer_dtype(frame["plan"].dtype)


def test_a_fleet_has_a_row_per_class_and_bandwidth(compared):
    pytest.importorskip("pandas")
    fleet = made_fleet()
    result = replace(compared, record=made_comparison(fleet=fleet))
    frame = result.to_dataframe()
    assert list(frame["device_class"]) == [row.device_class for row in fleet.rows]
    assert list(frame["reason"]) == [row.reason for row in fleet.rows]
    with pytest.raises(sq.UsageError):
        result.plot()


def test_without_pandas_a_frame_says_what_to_install(compared, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"pip install 'splitquant\[notebook\]'"):
        compared.to_dataframe()


def test_ranges_that_do_not_touch_are_no_breakpoint(compared):
    record = made_comparison()
    apart = tuple(
        msgspec.structs.replace(piece, low=piece.low * (1.5 if n else 1), plan=n % 2)
        for n, piece in enumerate(record.pieces)
    )
    assert replace(compared, record=msgspec.structs.replace(record, pieces=apart)).breakpoints == ()


def test_a_progress_that_raises_ends_the_call(scenario):
    def stop(what: str, done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sq.compare(scenario, bandwidths=[1, 3], progress=stop)


def test_a_notebook_shows_ranges_and_rows(compared):
    shown = compared._repr_html_()
    assert compared.breakpoints  # one table has a row for each
    told = repr(compared).removeprefix("<Comparison: ").removesuffix(">")
    assert html.escape(told) in shown
    assert shown.count("<table>") == 2
    assert "camera-server" in repr(compared)


def test_a_pickled_comparison_keeps_its_record_and_says_that_its_models_are_gone(compared, tmp_path):
    again = pickle.loads(pickle.dumps(compared))
    assert again.record == compared.record
    assert repr(again) == repr(compared)
    assert [point.bandwidth for point in again.breakpoints] == [p.bandwidth for p in compared.breakpoints]
    with pytest.raises(sq.OutputError, match="save it before"):
        again.save(tmp_path / "again")
    assert copy.deepcopy(compared).save(tmp_path / "copied").is_dir()


def test_what_a_comparison_is_called_counts_in_words_and_names_links_without_use():
    record = made_comparison()
    idle = tuple(msgspec.structs.replace(plan, link_s=0.0) for plan in record.plans)
    used, unused = (
        repr(sq.Comparison(msgspec.structs.replace(record, plans=plans, rows=record.rows[:1]), None))
        for plans in (record.plans, idle)
    )
    assert ", 1 row," in used
    assert "no plan sends" not in used
    assert "no plan sends anything over" in unused


def test_where_no_budget_set_leaves_a_plan_the_comparison_has_none_and_names_the_budgets(scenario):
    """Plans that were met on the way to that are no answer."""
    for budget, text in (
        ({"latency_ms": 1e-6}, "budget.latency_ms: 1e-06 ms cannot be kept; the least latency is "),
        (
            {"memory_mib": {"camera": 1e-5, "server": 1e-5}},
            "budget.memory_mib.camera, budget.memory_mib.server",
        ),
    ):
        none = sq.compare(scenario | {"budget": budget}, bandwidths=[1, 10])
        assert none.record.plans == ()
        assert all(text in row.reason for row in none.record.rows)
        assert ": no plan, 2 rows" in repr(none)
        with pytest.raises(sq.UsageError, match="plot: no plan at any bandwidth: .*budget"):
            none.plot()
