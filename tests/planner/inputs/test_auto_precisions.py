"""`precisions: auto`: what is kept, what is left out and why, and that a cached run gives the same."""

import html
import json

import models
import numpy as np
import pytest
from planned_models import scenario_around
from repository import ROOT
from terminal_text import printed
from two_models import write_two_models

from planner.comparison.bandwidth_and_budget_sweep import CompareRequest, compare_scenario
from planner.comparison.fleet.class_scenario import class_limits
from planner.comparison.sweep_points import Sweep
from planner.devices.tried_precisions import tried_precisions_text
from planner.export_and_verify import export_plan
from planner.inputs import auto_precisions, prepared_scenario
from planner.inputs.prepared_scenario import Prepared, prepare
from planner.output.plan_folder import write_outcome
from planner.output.saved_plan import read_fixed_costs, read_folder, read_plan
from planner.profile_device import profile_here, remote_measurement
from planner.report.tables.comparison_table import comparison_table
from planner.report.tables.plan_tables import plan_table
from planner.run import plan_scenario
from planner.run_models import measure_models
from planner.scenario.loader import dump_scenario, load_ready_models, load_scenario, parse_scenario
from planner.scenario.schema import Scenario
from profiling.precision import DEFAULT_PRECISIONS, OFFERED, Precision
from profiling.probe_precisions import PrecisionProbe, ProbedPrecision, probe_precisions

EVERY = [Precision.FP32, *OFFERED]
LINKS = [
    {"from": one, "to": other, "bandwidth_mbit_per_s": 100, "latency_ms": 0.1}
    for one, other in (("a", "b"), ("b", "a"))
]
TWO = {"devices": [{"name": "a"}, {"name": "b", "scaled_from": "a", "speedup": 2.0}], "links": LINKS}
# As on this machine's like: int16 is slow, float16 is fp32 once it is loaded.
RATIOS = {
    Precision.INT8: (0.4, 1e-3),
    Precision.INT16: (3.1, 1e-4),
    Precision.INT8_QOPERATOR: (0.41, 1e-3),
    Precision.INT8_DYNAMIC: (0.5, 1e-3),
    Precision.WEIGHTS_INT8: (0.8, 1e-4),
    Precision.WEIGHTS_INT4: (0.9, 1e-2),
    Precision.FLOAT16: (1.0, 1e-7),
}


def samples(count: int = 8) -> dict[str, np.ndarray]:
    return {"x": np.random.default_rng(0).normal(size=(count, 1, 2, 8, 8)).astype(np.float32)}


def scenario(folder, **changes) -> Scenario:
    return scenario_around(folder, models.residual(), samples(), **({"precisions": "auto"} | changes))


def table_of(folder, *precisions: str, more: str = "") -> str:
    """Return a file with seconds of every unit in some precisions, and further lines."""
    units = [unit.name for unit in prepare(scenario(folder, precisions=["fp32"])).models.graph.units]
    lines = [f"{unit},{precision},0.1\n" for unit in units for precision in precisions]
    path = folder / "seconds.csv"
    path.write_text("".join(["unit,precision,seconds\n", *lines, more]))
    return str(path)


@pytest.fixture
def ratios(monkeypatch, tmp_path):
    """Have probes show known ratios, with an empty cache; return those that may be changed."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    shown = dict(RATIOS)

    def probe(graph, calibration, samples, runtime, precisions, progress):
        del calibration, samples, runtime, progress
        counts = {p: sum(unit.can_be(p) for unit in graph.units) for p in precisions}
        rows = (ProbedPrecision(p, counts[p], shown[p][0], 0.01, 50, shown[p][1]) for p in precisions)
        return PrecisionProbe(tuple(rows))

    probe.__module__ = probe_precisions.__module__
    monkeypatch.setattr(auto_precisions, "probe_precisions", probe)
    return shown


def left_out(prepared: Prepared) -> dict[Precision, str]:
    return {row.precision: row.left_out for row in prepared.tried_precisions if row.left_out}


@pytest.mark.usefixtures("ratios")
def test_alone_and_without_a_memory_budget_time_and_error_count(tmp_path):
    prepared = prepare(scenario(tmp_path))
    assert left_out(prepared) == {
        Precision.INT16: "3.1 times the seconds of fp32, larger error",
        Precision.INT8_QOPERATOR: "not faster than int8, whose numbers it has",
        Precision.FLOAT16: "not faster than fp32, larger error",
        Precision.WEIGHTS_INT4: "1.8 times the seconds of int8-dynamic, larger error",
    }
    kept = [Precision.FP32, Precision.INT8, Precision.INT8_DYNAMIC, Precision.WEIGHTS_INT8]
    assert list(prepared.scenario.precisions) == kept
    assert prepared.scenario.measured_precisions == tuple(kept)
    assert [row.precision for row in prepared.tried_precisions] == EVERY


@pytest.mark.usefixtures("ratios")
@pytest.mark.parametrize(
    ("changes", "is_left_out"),
    [
        (TWO, False),  # two bytes on links instead of four
        (TWO | {"wires": ["uint8"]}, False),
        (TWO | {"wires": ["float16"]}, True),
        ({"budget": {"memory_mib": {"a": 1}}}, False),
        ({"objective": "memory"}, False),
        ({"objective": {"memory": 1, "latency": 1}}, False),
        ({"objective": {"energy": 1, "latency": 1}, "devices": [{"name": "a", "active_watt": 1}]}, True),
        ({"placement": {"precision": {"*": "int16"}}}, False),
        ({"devices": [{"name": "a"}, {"name": "b", "precisions": ["fp32", "int16"]}]}, False),
    ],
)
def test_int16_stays_for_bytes_on_links_for_memory_and_where_it_is_named(tmp_path, changes, is_left_out):
    prepared = prepare(scenario(tmp_path, **changes))
    assert (Precision.INT16 in left_out(prepared)) == is_left_out
    assert (Precision.INT16 in prepared.scenario.precisions) != is_left_out


@pytest.mark.usefixtures("ratios")
def test_memory_that_is_varied_counts_as_a_memory_budget(tmp_path):
    assert Precision.INT16 in left_out(prepare(scenario(tmp_path), more_budgets=["noise_relative_rms"]))
    assert Precision.INT16 not in left_out(prepare(scenario(tmp_path), more_budgets=["memory_mib.a"]))


def test_auto_survives_the_way_through_json(tmp_path):
    given = scenario(tmp_path)
    assert json.loads(dump_scenario(given))["precisions"] == "auto"
    assert parse_scenario(dump_scenario(given).encode()) == given


@pytest.mark.usefixtures("ratios")
def test_a_scenario_that_names_precisions_is_left_as_it_is(tmp_path):
    given = scenario(tmp_path, precisions=["fp32", "int16"])
    prepared = prepare(given)
    assert prepared.scenario == given
    assert prepared.tried_precisions == ()


def test_what_runs_as_float_is_no_faster_whatever_a_probe_shows(tmp_path, ratios):
    ratios[Precision.FLOAT16] = (0.8, 1e-7)
    assert Precision.FLOAT16 not in prepare(scenario(tmp_path)).scenario.precisions


def test_a_cached_run_leaves_out_the_same(tmp_path, ratios):
    before = prepare(scenario(tmp_path))
    ratios[Precision.INT16] = (0.1, 0.0)
    after = prepare(scenario(tmp_path))
    assert after.tried_precisions == before.tried_precisions
    assert after.scenario == before.scenario
    other = scenario(tmp_path, devices=[{"name": "a", "threads": 2}])
    assert Precision.INT16 not in left_out(prepare(other))


@pytest.mark.usefixtures("ratios")
def test_devices_keep_what_their_own_measurement_speaks_for(tmp_path, monkeypatch):
    sound = auto_precisions.probe_precisions

    def slow_on_two_threads(graph, calibration, samples, runtime, precisions, progress):
        found = sound(graph, calibration, samples, runtime, precisions, progress)
        if runtime.threads == 1:
            return found
        changed = [
            ProbedPrecision(row.precision, row.units, 9.0, 0.01, 50, 1.0)
            if row.precision is Precision.WEIGHTS_INT8
            else row
            for row in found.rows
        ]
        return PrecisionProbe(tuple(changed))

    slow_on_two_threads.__module__ = sound.__module__
    monkeypatch.setattr(auto_precisions, "probe_precisions", slow_on_two_threads)
    found = prepare(scenario(tmp_path, devices=[{"name": "a"}, {"name": "b", "threads": 2}])).scenario
    assert Precision.WEIGHTS_INT8 in found.precisions_of(found.device("a"))
    assert Precision.WEIGHTS_INT8 not in found.precisions_of(found.device("b"))
    assert parse_scenario(dump_scenario(found).encode()) == found


@pytest.mark.usefixtures("ratios")
def test_a_device_with_a_table_of_seconds_has_the_precisions_of_the_table(tmp_path):
    first = prepare(scenario(tmp_path, precisions=["fp32"])).models.graph.units[0].name
    table = table_of(tmp_path, "fp32", "int16", more=f"{first},weights-int8,0.1\n")
    prepared = prepare(scenario(tmp_path, devices=[{"name": "a"}, {"name": "b", "profile": table}]))
    found = prepared.scenario
    assert found.precisions_of(found.device("b")) == (Precision.FP32, Precision.INT16)
    assert Precision.INT16 not in found.precisions_of(found.device("a"))
    assert {row.device for row in prepared.tried_precisions} == {"a"}


@pytest.mark.usefixtures("ratios")
def test_a_unit_that_is_refused_in_a_precision_that_is_left_out_keeps_int8(tmp_path, monkeypatch):
    one, other, *_ = [u.name for u in prepare(scenario(tmp_path)).models.graph.units if u.quantizable]
    reasons = {Precision.INT16: {one: "wrong"}, Precision.INT8: {other: "wrong"}}
    monkeypatch.setattr(prepared_scenario, "refused_once", lambda *_: reasons)
    prepared = prepare(scenario(tmp_path))
    assert Precision.INT16 not in prepared.scenario.precisions
    able = {unit.name: unit.can_be(Precision.INT8) for unit in prepared.models.graph.units}
    assert (able[one], able[other]) == (True, False)


def test_with_litert_auto_is_the_default_and_nothing_is_tried():
    pytest.importorskip("ai_edge_litert", reason="the extra litert is not installed")
    prepared = prepare(load_scenario(ROOT / "scenarios" / "litert.yaml", ["precisions=auto"]))
    assert prepared.scenario.precisions == (Precision.FP32, Precision.INT8)
    assert prepared.tried_precisions == ()


UNSET = {"precisions": None}


@pytest.mark.usefixtures("ratios")
def test_auto_is_the_default_of_devices_that_are_measured_here(tmp_path):
    prepared = prepare(scenario(tmp_path, **TWO, **UNSET))
    assert prepared.scenario == prepare(scenario(tmp_path, **TWO)).scenario
    assert {row.precision for row in prepared.tried_precisions} == set(EVERY)
    assert Precision.INT8_DYNAMIC in prepared.scenario.precisions_of(prepared.scenario.device("b"))


@pytest.mark.usefixtures("ratios")
def test_a_device_with_a_file_has_float_and_int8_by_default(tmp_path):
    of_file = {"name": "b", "profile": table_of(tmp_path, "fp32", "int8", "int16")}
    both = prepare(scenario(tmp_path, devices=[{"name": "a"}, of_file], **UNSET)).scenario
    assert both.precisions_of(both.device("b")) == DEFAULT_PRECISIONS
    assert Precision.INT8_DYNAMIC in both.precisions_of(both.device("a"))
    alone = prepare(scenario(tmp_path, devices=[of_file], source="b", sink="b", **UNSET))
    assert (alone.scenario.precisions, alone.tried_precisions) == (DEFAULT_PRECISIONS, ())


@pytest.mark.usefixtures("ratios")
def test_a_profile_for_a_file_has_what_plans_look_for_in_it(tmp_path):
    given = scenario(tmp_path, devices=[{"name": "a", "profile": "not/yet/there.json"}], **UNSET)
    assert set(profile_here(given, "a").latency.wall_s) == set(DEFAULT_PRECISIONS)
    assert remote_measurement(given, "a").setup.precisions == DEFAULT_PRECISIONS
    wanted = {"name": "a", "precisions": ["fp32", "int8", "int16"]}
    there = remote_measurement(scenario(tmp_path, devices=[wanted], **UNSET), "a")
    assert there.setup.precisions == (*DEFAULT_PRECISIONS, Precision.INT16)


@pytest.mark.usefixtures("ratios")
def test_a_class_of_a_fleet_with_a_profile_of_its_own_has_what_its_file_has(tmp_path):
    table = table_of(tmp_path, "fp32", "int8", "int16")
    fleet = {"device": "a", "classes": [{"name": "new"}, {"name": "old", "profile": table}]}
    for changes, wanted in ((UNSET, DEFAULT_PRECISIONS), ({}, (*DEFAULT_PRECISIONS, Precision.INT16))):
        found = prepare(scenario(tmp_path, **(TWO | changes), fleet=fleet)).scenario
        new, old = found.fleet.classes
        assert (new.precisions, old.precisions) == (None, wanted)
        limits = class_limits(found, "a", old)
        assert limits.precisions_of(limits.device("a")) == wanted


def test_a_profile_for_a_file_has_what_its_classes_and_a_placement_name(tmp_path):
    named = {"device": "a", "classes": [{"name": "old", "precisions": ["fp32", "int16"]}]}
    devices = [{"name": "a", "profile": "not/yet/there.json"}, {"name": "b"}]
    given = scenario(tmp_path, devices=devices, fleet=named, **UNSET)
    assert remote_measurement(given, "a").setup.precisions == (*DEFAULT_PRECISIONS, Precision.INT16)


@pytest.mark.usefixtures("ratios")
def test_a_comparison_says_what_was_tried(tmp_path):
    given = scenario(tmp_path, **UNSET)
    found = compare_scenario(given, Sweep(None, {"noise_relative_rms": (0.1, 0.5)}), CompareRequest())
    assert tried_precisions_text(found.record.tried_precisions) in " ".join(
        printed(comparison_table(found.record)).split()
    )


def test_int16_is_left_out_of_a_real_network_that_runs_on_one_device():
    """The quickstart's network computes it in float, between conversions: no faster, and with an error."""
    settings = [
        "precisions=auto",
        "devices=[{name: server}]",
        "links=[]",
        "source=server",
        "sink=server",
        "budget={noise_relative_rms: 0.1}",
    ]
    prepared = prepare(load_scenario(ROOT / "scenarios" / "quickstart.yaml", settings))
    assert "of fp32, larger error" in left_out(prepared)[Precision.INT16]
    assert prepared.scenario.precisions[:2] == (Precision.FP32, Precision.INT8)
    assert "left out: int16 (" in tried_precisions_text(prepared.tried_precisions)
    assert json.loads(dump_scenario(prepared.scenario))["precisions"] == list(prepared.scenario.precisions)


@pytest.fixture
def planned(tmp_path, ratios):
    given = scenario(tmp_path)
    write_outcome(plan_scenario(given), tmp_path / "plan")
    ratios[Precision.INT16] = (0.1, 0.0)
    return given, tmp_path / "plan"


def test_a_plan_records_what_was_tried_and_names_what_stayed(planned):
    given, folder = planned
    plan = read_plan(folder)
    rows = {row.precision: row for row in plan.tried_precisions}
    assert rows[Precision.INT16].left_out == "3.1 times the seconds of fp32, larger error"
    assert rows[Precision.INT16].ratio_to_fp32 == 3.1
    assert rows[Precision.INT16].noise_relative_rms == pytest.approx(0.01)
    assert parse_scenario(bytes(plan.scenario)).precisions == tuple(
        row.precision for row in plan.tried_precisions if not row.left_out
    )
    text = tried_precisions_text(plan.tried_precisions)
    assert text in " ".join(printed(plan_table(*read_folder(folder))).split())
    assert text in html.unescape((folder / "report.html").read_text(encoding="utf-8"))
    export_plan(plan)  # it does not try them again
    assert given.precisions == "auto"


def test_a_plan_is_made_again_with_the_precisions_that_it_had(planned, monkeypatch, tmp_path):
    given, folder = planned
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "another"))  # where int16 would be fast
    before, after = read_plan(folder), plan_scenario(given, fixed=read_fixed_costs(folder)).plan
    assert after.assignments == before.assignments
    assert after.tried_precisions == before.tried_precisions
    named = given.model_copy(update={"precisions": (Precision.FP32, Precision.INT8)})
    assert plan_scenario(named, fixed=read_fixed_costs(folder)).plan.tried_precisions == ()


def test_a_plan_of_a_time_when_none_were_found_out_had_float_and_int8(planned, tmp_path):
    """Its file names none then."""
    plan = json.loads((planned[1] / "plan.json").read_text())
    del plan["scenario"]["precisions"]
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    assert parse_scenario(bytes(read_plan(tmp_path).scenario)).precisions == DEFAULT_PRECISIONS


def test_a_plan_is_recognized_as_of_the_scenario_that_it_was_made_of(planned):
    given, folder = planned
    fixed = read_fixed_costs(folder)
    again = fixed.with_precisions(given)
    assert json.loads(dump_scenario(again)) == json.loads(bytes(fixed.plan.scenario))


@pytest.mark.usefixtures("ratios")
def test_a_device_is_profiled_in_what_is_not_left_out_even_if_the_scenario_names_its_profile(tmp_path):
    given = scenario(tmp_path, devices=[{"name": "a", "profile": "not/yet/there.json"}])
    profile = profile_here(given, "a")
    assert Precision.INT16 not in profile.latency.wall_s
    assert {Precision.FP32, Precision.INT8, Precision.WEIGHTS_INT8} <= set(profile.latency.wall_s)


def test_a_device_that_is_measured_by_itself_measures_all(tmp_path):
    there = remote_measurement(scenario(tmp_path), "a")
    assert there.setup.precisions == tuple(EVERY)


@pytest.mark.usefixtures("ratios")
def test_memory_that_models_share_counts_for_each_of_them(tmp_path):
    write_two_models(tmp_path)
    several = load_ready_models(tmp_path / "s.yaml", ["precisions=auto"])
    for one in measure_models(several).measured:
        assert Precision.INT16 in one.scenario.precisions
        assert one.prepared.tried_precisions


@pytest.mark.usefixtures("ratios")
def test_a_comparison_counts_memory_where_it_is_varied(tmp_path):
    given = scenario(tmp_path)
    alone = compare_scenario(given, Sweep(None, {"noise_relative_rms": (0.1, 0.5)}), CompareRequest())
    assert Precision.INT16 not in alone.measured.scenario.precisions
    varied = compare_scenario(given, Sweep(None, {"memory_mib.a": (1.0, 2.0)}), CompareRequest())
    assert Precision.INT16 in varied.measured.scenario.precisions
