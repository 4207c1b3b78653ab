from dataclasses import replace

import models
import msgspec
import numpy as np
import pytest
from made_records import CUT, made_plan
from onnx import TensorProto, checker
from planned_models import scenario_around

from planner.deployment.build import build, build_models
from planner.errors import OutputError
from planner.inputs.prepared_scenario import Prepared, prepare
from planner.plan.configuration import Configuration
from planner.plan.plan_record import Plan, WireFormat
from planner.verification.stage_chain import Chain, same_bits
from profiling.graph.blocked_layout import is_layout_pool
from profiling.on_device.create_session import Optimization
from profiling.precision import Precision, Wire
from profiling.runtime.open_session import Runtime, open_session, run_session

TWO = {
    "devices": [{"name": "a"}, {"name": "b", "scaled_from": "a", "speedup": 4}],
    "links": [
        {"from": "a", "to": "b", "bandwidth_mbit_per_s": 8},
        {"from": "b", "to": "a", "bandwidth_mbit_per_s": 8},
    ],
    "wires": ["float16"],
}
FP32, INT8 = Precision.FP32, Precision.INT8
SAMPLES = np.random.default_rng(0).standard_normal((8, 1, 2, 8, 8)).astype(np.float32)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Prepared:
    folder = tmp_path_factory.mktemp("build")
    return prepare(scenario_around(folder, models.residual(), {"x": SAMPLES}, **TWO))


def configuration(devices: str, int8: tuple[int, ...] = (), wires=()) -> Configuration:
    return Configuration(tuple(devices), tuple(INT8 if n in int8 else FP32 for n in range(5)), wires)


def chain_answers(built) -> list[dict[str, np.ndarray]]:
    chain = Chain([stage.model for stage in built.stages], Runtime(), Optimization.BASIC)
    return [chain.run({"x": sample}, built.graph.outputs) for sample in SAMPLES]


@pytest.mark.parametrize(
    ("devices", "int8", "stages"),
    [
        ("aaaaa", (), ["a"]),
        ("aaabb", (0, 1, 2), ["a", "b"]),
        ("aabbb", (0, 3), ["a", "b"]),
        ("bbbbb", (0, 1, 2, 3, 4), ["a", "b", "a"]),  # quantized at the source, restored at the sink
    ],
)
def test_the_stages_in_a_chain_answer_bit_by_bit_as_the_whole_model_does(prepared, devices, int8, stages):
    built = build(prepared, configuration(devices, int8))
    whole = open_session(built.mixed, Runtime(), Optimization.BASIC)
    for sample, answer in zip(SAMPLES, chain_answers(built), strict=True):
        assert same_bits(run_session(whole, {"x": sample}), answer)
    assert [stage.device for stage in built.stages] == stages
    for unit, device in enumerate(devices):
        assert [stage.device for stage in built.stages if unit in stage.units] == [device]
    for stage in built.stages:
        checker.check_model(stage.model, full_check=True)


def test_a_float_tensor_crosses_in_its_wire_and_is_no_more_exact_than_that(prepared):
    tensor = prepared.models.graph.units[1].outputs[0]
    plain = build(prepared, configuration("aabbb"))
    wired = build(prepared, configuration("aabbb", wires=((tensor, Wire.FLOAT16),)))
    kinds = [built.stages[0].model.graph.output[0].type.tensor_type.elem_type for built in (plain, wired)]
    assert kinds == [TensorProto.FLOAT, TensorProto.FLOAT16]
    for exact, rounded in zip(chain_answers(plain), chain_answers(wired), strict=True):
        distance = np.abs(exact["y"] - rounded["y"]).max()
        assert 0 < distance < 2**-9 * np.abs(exact["y"]).max()


@pytest.mark.parametrize(
    ("devices", "blocked", "pools"),
    [("aaaa", "ab", 1), ("aaaa", "b", 0), ("abbb", "ab", 1), ("abbb", "b", 0), ("abbb", "a", 0)],
)
def test_a_tensor_is_brought_into_the_layout_where_all_devices_that_touch_it_have_it(
    devices, blocked, pools, tmp_path
):
    samples = np.random.default_rng(0).standard_normal((8, 1, 16, 8, 8)).astype(np.float32)
    prepared = prepare(scenario_around(tmp_path, models.residual_blocks(16), {"x": samples}, **TWO))
    schemes = {name: replace(own, blocked_layout=name in blocked) for name, own in prepared.schemes.items()}
    chosen = Configuration(tuple(devices), (INT8, FP32, FP32, FP32))
    built = build(replace(prepared, schemes=schemes), chosen)
    assert sum(map(is_layout_pool, built.mixed.graph.node)) == pools
    whole = open_session(built.mixed, Runtime())
    chain = Chain([stage.model for stage in built.stages], Runtime())
    for sample in samples:
        assert same_bits(run_session(whole, {"x": sample}), chain.run({"x": sample}, built.graph.outputs))


def planned(prepared, devices: str, int8: tuple[int, ...] = (), cuts=()) -> Plan:
    """Return the record of a plan that says what a configuration says."""
    names = tuple(unit.name for unit in prepared.models.graph.units)
    plan = made_plan(names, cuts=tuple(cuts))
    assignments = tuple(
        msgspec.structs.replace(a, device=devices[n], precision=INT8 if n in int8 else FP32)
        for n, a in enumerate(plan.assignments)
    )
    return msgspec.structs.replace(plan, assignments=assignments)


def bytes_of(built) -> list[bytes]:
    every = (built.mixed, *(stage.model for stage in built.stages))
    return [model.SerializeToString(deterministic=True) for model in every]


def test_a_saved_plan_gives_the_models_of_its_configuration_byte_by_byte(prepared):
    graph = prepared.models.graph
    first, second = (graph.units[unit].outputs[0] for unit in (0, 1))
    cut = msgspec.structs.replace(CUT, tensor=second, wire=WireFormat.FLOAT16)
    plan = planned(prepared, "aabbb", (3,), [cut])
    own = build(prepared, configuration("aabbb", (3,), ((second, Wire.FLOAT16),)))
    assert bytes_of(build_models(prepared, plan)) == bytes_of(own)
    quantized = msgspec.structs.replace(CUT, tensor=first, wire=WireFormat.UINT8)
    plan = planned(prepared, "abbbb", (0, 1), [quantized])
    assert bytes_of(build_models(prepared, plan)) == bytes_of(build(prepared, configuration("abbbb", (0, 1))))


@pytest.mark.parametrize("fault", ["a unit twice", "a unit too few", "another unit", "another device"])
def test_a_plan_of_another_model_or_scenario_is_refused(prepared, fault):
    plan = planned(prepared, "aaabb")
    one, *others = plan.assignments
    assignments = {
        "a unit twice": (one, *others, one),
        "a unit too few": tuple(others),
        "another unit": (msgspec.structs.replace(one, unit="nobody"), *others),
        "another device": (msgspec.structs.replace(one, device="nowhere"), *others),
    }[fault]
    with pytest.raises(OutputError, match="its assignments do not fit the model's units or the devices"):
        build_models(prepared, msgspec.structs.replace(plan, assignments=assignments))
