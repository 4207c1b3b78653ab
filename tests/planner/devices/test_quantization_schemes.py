"""Each device quantizes in its own scheme, and a plan keeps to them."""

import json

import models
import msgspec
import numpy as np
import onnx
import pytest
from planned_models import plan_model

from planner.devices import quantization_schemes as schemes
from planner.devices.quantization_schemes import choose_schemes, trial_level
from planner.export_and_verify import export_plan
from planner.output.plan_folder import write_outcome
from planner.output.saved_plan import read_plan
from planner.scenario.schema import Scenario
from planner.scenario.validation import check_scenario
from profiling.errors import ProfileError
from profiling.on_device.create_session import Optimization
from profiling.precision import Precision
from profiling.quantization.qdq_model import INT8, INT8_REDUCED, SCHEMES, Scheme
from profiling.range_method import RangeMethod
from profiling.records.json_files import save_json

ARRAYS = {"x": np.random.default_rng(0).normal(size=(12, 1, 2, 8, 8)).astype(np.float32)}
MIB = 2**20
UNIT_OF = {"w1": 0, "w2": 1, "w3": 2, "w4": 4}  # of the residual model
FAST = {"bandwidth_mbit_per_s": 1e6}
TWO = {
    "links": [{"from": "a", "to": "b", **FAST}, {"from": "b", "to": "a", **FAST}],
    "precisions": ["int8"],
}


def scenario(devices: list[dict[str, object]], **changes: object) -> Scenario:
    content = {
        "model": "m.onnx",
        "data": {"calibration": {"npz": "d"}, "evaluation": {"npz": "d"}},
        "devices": devices,
        "source": "a",
        "sink": "a",
    }
    found, faults = check_scenario(json.dumps(content | changes))
    assert not faults
    return found


@pytest.fixture(autouse=True)
def plain_layout(monkeypatch) -> None:
    monkeypatch.setattr(schemes, "has_blocked_layout", lambda runtime: False)


@pytest.fixture(params=[True, False], ids=["overflows", "exact"])
def overflows(request, monkeypatch) -> bool:
    monkeypatch.setattr(schemes, "this_cpu_overflows", lambda runtime: request.param)
    return request.param


def test_a_label_names_one_scheme():
    assert len(SCHEMES) == 82
    assert all(SCHEMES[scheme.label] == scheme for scheme in SCHEMES.values())
    assert (INT8.label, INT8_REDUCED.label) == ("int8", "int8-7bit-weights")
    assert Scheme(True, ranges=RangeMethod.MSE).label == "int8-symmetric-mse"
    assert Scheme(blocked_layout=True).label == "int8-blocked-layout"


def test_a_tensor_with_16_bits_spans_every_value():
    assert Scheme(ranges=RangeMethod.MSE).at(Precision.INT16) == Scheme(precision=Precision.INT16)
    assert Scheme(ranges=RangeMethod.MSE).at(Precision.INT8).ranges is RangeMethod.MSE


def test_the_processor_decides_what_the_scenario_leaves_open(overflows):
    chosen = choose_schemes(scenario([{"name": "a"}, {"name": "b", "quantization": {"symmetric": True}}]))
    assert chosen == {
        "a": Scheme(reduce_range=overflows),
        "b": Scheme(symmetric=True, reduce_range=overflows),
    }


def test_a_device_overrides_the_scenario(overflows):
    devices = [{"name": "a"}, {"name": "b", "quantization": {"reduce_range": False}}]
    chosen = choose_schemes(scenario(devices, quantization={"reduce_range": True, "symmetric": True}))
    assert chosen == {"a": Scheme(True, True), "b": Scheme(symmetric=True)}


def test_all_devices_share_the_ranges_of_the_scenario(overflows):
    devices = [{"name": "a"}, {"name": "b", "quantization": {"symmetric": True}}]
    chosen = choose_schemes(scenario(devices, quantization={"ranges": "percentile"}))
    assert {scheme.ranges for scheme in chosen.values()} == {RangeMethod.PERCENTILE}


def test_a_scaled_device_takes_the_activations_of_its_origin(overflows):
    devices = [{"name": "a", "quantization": {"symmetric": True}}, {"name": "b", "scaled_from": "a"}]
    assert choose_schemes(scenario(devices))["b"].symmetric


@pytest.fixture
def profiled(tmp_path):
    """Return a function that writes the profile of a device whose processor overflows, or not."""
    outcome = plan_model(tmp_path, models.residual(), ARRAYS, quantization={"reduce_range": False})

    def write(device_overflows: bool, label: str = "int8", seconds: float = 1e-3) -> str:
        content = msgspec.to_builtins(outcome.profiles["a"])
        content["latency"] |= {"overflows": device_overflows, "scheme": label}
        for row in content["latency"]["units"]:
            row["seconds"] = seconds
        path = tmp_path / f"{label}-{device_overflows}.json"
        save_json(content, path)
        return str(path)

    return write


def test_one_processor_that_overflows_gives_all_others_7_bits(profiled, monkeypatch):
    monkeypatch.setattr(schemes, "this_cpu_overflows", lambda runtime: False)
    devices = [{"name": "a"}, {"name": "b", "profile": profiled(True)}]
    assert set(choose_schemes(scenario(devices)).values()) == {INT8_REDUCED}
    devices[1]["profile"] = profiled(False)
    assert set(choose_schemes(scenario(devices)).values()) == {INT8}


def test_a_profile_of_another_scheme_is_refused(profiled):
    symmetric = {"name": "b", "profile": profiled(False), "quantization": {"symmetric": True}}
    with pytest.raises(
        ProfileError, match="made with asymmetric activations, but quantization.symmetric of b"
    ):
        choose_schemes(scenario([{"name": "a"}, symmetric]))
    wide = {"name": "b", "profile": profiled(True), "quantization": {"reduce_range": False}}
    with pytest.raises(ProfileError, match="int8 kernels overflow there with 8-bit weights"):
        choose_schemes(scenario([{"name": "a"}, wide]))
    unknown = {"name": "b", "profile": profiled(False, "int2")}
    with pytest.raises(ProfileError, match="unknown quantization scheme 'int2'"):
        choose_schemes(scenario([{"name": "a"}, unknown]))
    known = {"name": "b", "profile": profiled(False, "int8-symmetric")}
    assert choose_schemes(scenario([{"name": "a"}, known]))["b"].symmetric


def test_a_device_asks_for_the_layout_in_which_it_was_measured(profiled, monkeypatch):
    monkeypatch.setattr(schemes, "has_blocked_layout", lambda runtime: runtime.threads == 2)
    devices = [
        {"name": "a"},
        {"name": "b", "threads": 2},
        {"name": "c", "scaled_from": "b"},
        {"name": "d", "profile": profiled(False), "threads": 2},
        {"name": "e", "profile": profiled(False, "int8-blocked-layout")},
        {"name": "f", "scaled_from": "e"},
    ]
    chosen = choose_schemes(scenario(devices))
    assert {name for name, scheme in chosen.items() if scheme.blocked_layout} == {"b", "c", "e", "f"}


@pytest.mark.parametrize(("label", "blocked"), [("int8", False), ("int8-blocked-layout", True), ("", False)])
def test_a_fleet_and_what_shares_its_costs_ask_for_the_layout_that_all_classes_have(
    label, blocked, profiled, monkeypatch
):
    monkeypatch.setattr(schemes, "has_blocked_layout", lambda runtime: True)
    classes = [{"name": "one", "share": 0.5}, {"name": "other", "share": 0.5}]
    classes[1]["profile"] = profiled(False, label) if label else "not-there-yet.json"
    devices = [{"name": "a"}, {"name": "b", "scaled_from": "a"}, {"name": "c"}]
    for device in ("a", "b"):
        fleet = {"device": device, "classes": classes}
        chosen = choose_schemes(scenario(devices, fleet=fleet, **TWO))
        layouts = {name: scheme.blocked_layout for name, scheme in chosen.items()}
        assert layouts == {"a": blocked, "b": blocked, "c": True}


def test_noise_does_not_depend_on_the_layout():
    assert Scheme(True, blocked_layout=True).as_rounded == Scheme(True)
    assert Scheme(blocked_layout=True).as_timed == Scheme(blocked_layout=True)
    assert not Scheme(blocked_layout=True).at(Precision.INT8_DYNAMIC).blocked_layout


def test_8_bit_weights_of_another_processor_are_tried_out_without_overflow(overflows):
    whole = scenario([{"name": "a"}, {"name": "b", "scaled_from": "a"}])
    here, there = whole.devices
    expected = Optimization.BASIC if overflows else Optimization.DEFAULT
    assert trial_level(whole, there, INT8) is expected
    assert trial_level(whole, there, INT8_REDUCED) is Optimization.DEFAULT
    assert trial_level(whole, here, INT8) is Optimization.DEFAULT


def wide_bits(model: onnx.ModelProto) -> dict[str, bool]:
    """Return float weight -> whether its integers use more than 7 bits."""
    known = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    return {
        name.removesuffix("_quantized"): bool(np.abs(value.astype(int)).max() > 64)
        for name, value in known.items()
        if name.endswith("_quantized") and value.dtype == np.int8 and value.ndim > 1
    }


def test_a_plan_over_devices_of_different_bits(tmp_path):
    devices = [
        {"name": "a", "quantization": {"reduce_range": True}},
        {"name": "b", "scaled_from": "a", "speedup": 100, "quantization": {"reduce_range": False}},
    ]
    pin = {"Conv_0": "a", "Conv_2": "b", "Conv_5": "b", "Gemm_9": "b"}  # whatever the timings are
    outcome = plan_model(tmp_path, models.residual(), ARRAYS, devices=devices, placement={"pin": pin}, **TWO)
    plan = outcome.plan
    wide = wide_bits(outcome.built.mixed)
    place = {weight: plan.assignments[unit].device for weight, unit in UNIT_OF.items()}
    assert set(place.values()) == {"a", "b"}
    assert wide == {weight: device == "b" for weight, device in place.items()}
    assert plan.quantization == {"a": "int8-7bit-weights", "b": "int8"}
    assert plan.measured.chain.basic_bit_equal
    write_outcome(outcome, tmp_path / "o")
    assert export_plan(read_plan(tmp_path / "o")).mixed == outcome.built.mixed


def test_devices_of_different_activations_have_a_float_unit_between_them(profiled, tmp_path):
    devices = [
        {"name": "a", "profile": profiled(True, "int8-symmetric-7bit-weights")},
        {"name": "b", "profile": profiled(True, "int8-7bit-weights", seconds=1.0)},
    ]
    # The faster device holds the last unit if that is int8; the other needs int8 for its convolutions.
    limits = {"a": 100 / MIB, "b": 1480 / MIB}
    outcome = plan_model(
        tmp_path,
        models.residual(),
        ARRAYS,
        devices=devices,
        budget={"memory_mib": limits},
        **TWO | {"precisions": ["fp32", "int8"]},
    )
    plan = outcome.plan
    assert [a.device for a in plan.assignments] == ["b", "b", "b", "b", "a"]
    assert [a.precision.value for a in plan.assignments] == ["int8", "int8", "int8", "fp32", "int8"]
    types = {
        next(i.data_type for i in outcome.built.mixed.graph.initializer if i.name == node.input[2])
        for node in outcome.built.mixed.graph.node
        if node.op_type == "QuantizeLinear"
    }
    assert types == {onnx.TensorProto.UINT8, onnx.TensorProto.INT8}
    assert [cut.wire.value for cut in plan.cuts] == ["uint8", "int8"]
    assert plan.measured.chain.basic_bit_equal
    assert 0.3 < plan.measured.noise_relative_rms / plan.predicted.noise_relative_rms < 3


@pytest.mark.parametrize("ranges", ["percentile", "best"])
def test_a_plan_over_other_ranges_is_built_and_built_again(ranges, tmp_path):
    devices = [{"name": "a"}, {"name": "b", "scaled_from": "a", "speedup": 100}]
    pin = {"Conv_0": "a", "Conv_2": "b", "Conv_5": "b", "Gemm_9": "b"}
    arrays = {"x": np.random.default_rng(0).normal(size=(40, 1, 2, 8, 8)).astype(np.float32)}
    arrays["x"][0].flat[0] = 50.0
    settings = {"devices": devices, "placement": {"pin": pin}, "quantization": {"ranges": ranges}}
    outcome = plan_model(tmp_path, models.residual(), arrays, **settings, **TWO)
    plan = outcome.plan
    assert all(label.endswith(f"-{ranges}") for label in plan.quantization.values())
    assert {(one.device, one.wanted_ranges) for one in plan.calibration_choices} == {
        ("a", ranges),
        ("b", ranges),
    }
    assert all(one.ranges == ranges or ranges == "best" for one in plan.calibration_choices)
    assert plan.measured.chain.basic_bit_equal
    assert 1 / 3 < plan.measured.noise_relative_rms / plan.predicted.noise_relative_rms < 3
    assert not outcome.profiles["a"].latency.scheme.endswith(ranges)  # seconds are those of minmax
    write_outcome(outcome, tmp_path / "o")
    assert export_plan(read_plan(tmp_path / "o")).mixed == outcome.built.mixed
