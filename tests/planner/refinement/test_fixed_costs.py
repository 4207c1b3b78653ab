"""Planning again with the costs of an earlier plan."""

import json
from dataclasses import replace

import models
import msgspec
import numpy as np
import onnx
import pytest
from planned_models import scenario_around, scenario_content

import splitquant as sq
from planner.cli.commands import main
from planner.devices import quantization_schemes
from planner.errors import OutputError
from planner.inputs.prepared_scenario import prepare
from planner.output.plan_folder import write_outcome
from planner.output.saved_plan import read_fixed_costs, read_plan
from planner.refinement import measured_scenario
from planner.run import plan_scenario
from planner.scenario.schema import AUTO
from profiling.errors import ProfileError
from profiling.precision import Precision
from profiling.quantization.qdq_model import SCHEMES

TWO = {
    "devices": [{"name": "a"}, {"name": "b", "scaled_from": "a", "speedup": 50.0}],
    "links": [
        {"from": one, "to": other, "bandwidth_mbit_per_s": 100, "latency_ms": 0.001}
        for one, other in (("a", "b"), ("b", "a"))
    ],
    "budget": {"noise_relative_rms": 0.05},
}


def samples() -> dict[str, np.ndarray]:
    return {"x": np.random.default_rng(3).normal(size=(8, 1, 2, 8, 8)).astype(np.float32)}


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    folder = tmp_path_factory.mktemp("planned")
    scenario = scenario_around(folder, models.residual(), samples(), **TWO)
    write_outcome(plan_scenario(scenario), folder / "plan")
    return scenario, folder / "plan"


@pytest.fixture
def nothing_is_timed(monkeypatch):
    def refuse(*_):
        raise AssertionError("a plan was timed, or a device profiled")

    monkeypatch.setattr(measured_scenario, "plan_timings", refuse)
    monkeypatch.setattr(measured_scenario, "profile_devices", refuse)


@pytest.mark.usefixtures("nothing_is_timed")
@pytest.mark.parametrize("path", ["plan", "plan/plan.json"])
def test_the_same_plan_comes_back_at_the_same_costs(planned, path):
    scenario, folder = planned
    before = read_plan(folder)
    after = plan_scenario(scenario, fixed=read_fixed_costs(folder.parent / path)).plan
    assert after.assignments == before.assignments
    assert after.cuts == before.cuts
    assert after.objective.value == pytest.approx(before.objective.value, rel=1e-9)
    assert after.predicted.compute_s == pytest.approx(before.predicted.compute_s)
    assert after.loop == ()
    assert after.costs_of == str(folder.parent / path)


@pytest.mark.usefixtures("nothing_is_timed")
def test_another_bandwidth_is_planned_at_the_same_costs(planned):
    scenario, folder = planned
    slow = [link.model_copy(update={"bandwidth_mbit_per_s": 1e-4}) for link in scenario.links]
    after = plan_scenario(scenario.model_copy(update={"links": tuple(slow)}), fixed=read_fixed_costs(folder))
    assert {one.device for one in after.plan.assignments} == {"a"}
    assert {name: own.latency for name, own in after.profiles.items()} == {
        name: own.latency for name, own in read_fixed_costs(folder).profiles.items()
    }


def test_costs_of_another_model_or_device_are_refused(planned, tmp_path):
    scenario, folder = planned
    fixed = read_fixed_costs(folder)
    reweighted = models.residual()
    weight = onnx.numpy_helper.to_array(reweighted.graph.initializer[0])
    name = reweighted.graph.initializer[0].name
    reweighted.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(-weight, name))
    other = prepare(scenario_around(tmp_path, reweighted, samples(), **TWO))
    with pytest.raises(ProfileError, match="another model"):
        fixed.of(other)
    prepared = prepare(scenario)
    with pytest.raises(ProfileError, match="lack the device a"):
        replace(fixed, profiles={"z": fixed.profiles["a"]}).of(prepared)
    profile = fixed.profiles["a"]
    foreign = replace(profile, latency=replace(profile.latency, scheme="int9"))
    with pytest.raises(ProfileError, match="int9"):
        replace(fixed, profiles={"a": foreign}).of(prepared)
    with pytest.raises(OutputError, match=r"profile\.json"):
        replace(fixed, profiles={}).of(prepared)


@pytest.mark.usefixtures("nothing_is_timed")
@pytest.mark.parametrize("here", [True, False])
@pytest.mark.parametrize(
    "planned_so", [{"a": True, "b": True}, {"a": False, "b": False}, {"a": True, "b": False}]
)
def test_devices_quantize_in_the_layout_of_the_earlier_plan(planned, here, planned_so, monkeypatch):
    monkeypatch.setattr(quantization_schemes, "has_blocked_layout", lambda runtime: here)
    scenario, folder = planned
    fixed = read_fixed_costs(folder)

    def label(scheme: str, blocked: bool) -> str:
        return replace(SCHEMES[scheme], blocked_layout=blocked).label

    profile = fixed.profiles["a"]
    latency = replace(profile.latency, scheme=label(profile.latency.scheme, planned_so["a"]))
    before = {name: label(fixed.plan.quantization[name], blocked) for name, blocked in planned_so.items()}
    plan = msgspec.structs.replace(fixed.plan, quantization=before)
    fixed = replace(fixed, plan=plan, profiles={"a": replace(profile, latency=latency)})
    after = plan_scenario(scenario, fixed=fixed).plan
    assert after.quantization == before
    assert after.assignments == plan.assignments


@pytest.mark.parametrize("blocked", [True, False])
def test_a_device_that_the_earlier_plan_lacks_has_the_layout_whose_costs_it_takes(planned, blocked):
    scenario, folder = planned
    fixed = read_fixed_costs(folder)
    profile = fixed.profiles["a"]
    scheme = replace(SCHEMES[profile.latency.scheme], blocked_layout=blocked)
    latency = replace(profile.latency, scheme=scheme.label)
    plan = msgspec.structs.replace(fixed.plan, quantization={"c": "int8"})
    fixed = replace(fixed, plan=plan, profiles={"a": replace(profile, latency=latency)})
    assert {one.blocked_layout for one in fixed.schemes(scenario).values()} == {blocked}


def test_precisions_that_a_device_names_stay_whatever_the_earlier_plan_had(planned):
    scenario, folder = planned
    a, b = scenario.devices
    named = (a.model_copy(update={"precisions": (Precision.INT16,)}), b)
    found = read_fixed_costs(folder).with_precisions(
        scenario.model_copy(update={"precisions": AUTO, "devices": named})
    )
    assert found.precisions == (Precision.FP32, Precision.INT8, Precision.INT16)
    assert [device.precisions for device in found.devices] == [
        (Precision.INT16,),
        (Precision.FP32, Precision.INT8),
    ]


def test_the_command_and_the_function_say_the_same(planned, tmp_path, capsys):
    _, folder = planned
    # The same scenario, so that the same plan comes back however noisy its costs are.
    path = folder.parent / "s.yaml"
    path.write_text(json.dumps(scenario_content(folder.parent, models.residual(), samples(), **TWO)))
    arguments = [str(path), "--reproduce", str(folder), "--out", str(tmp_path / "again")]
    with pytest.raises(SystemExit, match="0"):
        main(arguments)
    assert "no plan timed to choose one: the same plan" in " ".join(capsys.readouterr().out.split())
    result = sq.plan(path, reproduce=folder)
    assert result.plan.assignments == read_plan(tmp_path / "again").assignments


def test_a_path_that_is_no_plan_is_said(planned, tmp_path, capsys):
    content = scenario_content(tmp_path, models.residual(), samples(), **TWO)
    (tmp_path / "s.yaml").write_text(json.dumps(content))
    with pytest.raises(SystemExit, match="1"):
        main([str(tmp_path / "s.yaml"), "--reproduce", str(tmp_path / "none")])
    assert "No such file" in capsys.readouterr().err


def test_a_plan_of_other_units_is_refused(planned):
    scenario, folder = planned
    fixed = read_fixed_costs(folder)
    shorter = msgspec.structs.replace(fixed.plan, assignments=fixed.plan.assignments[1:])
    with pytest.raises(OutputError, match="do not fit"):
        plan_scenario(scenario, fixed=replace(fixed, plan=shorter))


def test_a_plan_with_a_gap_comes_back_in_its_scenario_and_is_bettered_in_another(planned):
    scenario, folder = planned
    fixed = read_fixed_costs(folder)
    units = fixed.plan.assignments
    worse = [msgspec.structs.replace(one, device="a", precision=Precision.FP32) for one in units]
    objective = msgspec.structs.replace(fixed.plan.objective, gap=1.0)
    slow = replace(
        fixed,
        plan=msgspec.structs.replace(fixed.plan, assignments=tuple(worse), cuts=(), objective=objective),
    )
    again = plan_scenario(scenario, fixed=slow).plan
    assert again.devices() == dict.fromkeys(again.devices(), "a")
    other = scenario.model_copy(update={"solver": scenario.solver.model_copy(update={"time_limit_s": 31.0})})
    best, found = plan_scenario(scenario, fixed=fixed).plan, plan_scenario(other, fixed=slow).plan
    assert found.objective.value <= best.objective.value * 1.006


def test_a_device_that_is_gone_leaves_its_costs_for_others(planned):
    scenario, folder = planned
    fixed = read_fixed_costs(folder)
    away = [msgspec.structs.replace(one, device="c") for one in fixed.plan.assignments]
    renamed = replace(fixed, plan=msgspec.structs.replace(fixed.plan, assignments=tuple(away), cuts=()))
    assert plan_scenario(scenario, fixed=renamed).plan.status in ("optimal", "feasible")


def test_devices_that_are_returned_to_give_the_same_plan(tmp_path):
    devices = [{**device, "visits": 2} for device in TWO["devices"]]
    scenario = scenario_around(tmp_path, models.residual(), samples(), **TWO | {"devices": devices})
    write_outcome(plan_scenario(scenario), tmp_path / "plan")
    fixed = read_fixed_costs(tmp_path / "plan")
    assert plan_scenario(scenario, fixed=fixed).plan.assignments == fixed.plan.assignments


def test_costs_from_a_table_come_back(planned, tmp_path):
    _, folder = planned
    profile = read_fixed_costs(folder).profiles["a"].latency
    rows = [f"{row.unit},{row.precision},{row.seconds}" for row in profile.units]
    (tmp_path / "own.csv").write_text("\n".join(["unit,precision,seconds", *rows]))
    devices = [{"name": "a", "profile": str(tmp_path / "own.csv")}, *TWO["devices"][1:]]
    own = scenario_around(tmp_path, models.residual(), samples(), **TWO | {"devices": devices})
    write_outcome(plan_scenario(own), tmp_path / "plan")
    fixed = read_fixed_costs(tmp_path / "plan")
    assert plan_scenario(own, fixed=fixed).plan.assignments == fixed.plan.assignments
