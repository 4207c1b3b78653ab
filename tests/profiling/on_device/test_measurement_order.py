import itertools
import json

import msgspec

from profiling.latency.measure_latency import Setup, measurement_plan
from profiling.on_device.measurement_order import (
    CALLER,
    FP32,
    INT8,
    INT8_QOPERATOR,
    INT16,
    SwitchTensor,
    coarsest_precision,
    order_hash,
    tensor_precision,
)
from profiling.precision import Precision
from profiling.records.json_files import save_json
from profiling.runtime.open_session import Runtime


def test_the_coarsest_precision_of_any_is_that_of_the_fewest_steps():
    finest_first = [FP32, INT16, INT8]
    for count in range(4):
        for some in itertools.permutations(finest_first, count):
            assert coarsest_precision(some) == max(some, key=finest_first.index, default=FP32)


def test_precisions_have_one_name_here_and_there():
    static = [str(one) for one in Precision if one is Precision.FP32 or one.is_static]
    assert static == [FP32, INT8, INT16, INT8_QOPERATOR]
    assert [tensor_precision(one) for one in Precision] == [one.numbers for one in Precision]


def test_a_tensor_has_the_coarsest_precision_of_its_units_and_the_caller_computes_in_fp32():
    tensor = SwitchTensor("t", 4, 0, [1, CALLER])
    assert tensor.precision_in({}) == FP32
    assert tensor.precision_in({1: INT16}) == INT16
    assert tensor.precision_in({0: INT8, 1: INT16}) == INT8
    assert tensor.precision_in({2: INT8}) == FP32
    assert tensor.precision_in({0: INT16, 1: INT8_QOPERATOR}) == INT8


def test_variants_as_files_have_them_are_mixes_by_unit(digits):
    plan = measurement_plan(digits.graph, digits.calibration, Setup(Runtime(), 3, tuple(Precision)), "board")
    for variant, mix in zip(plan.variants, plan.mixes, strict=True):
        assert {unit for units in variant.values() for unit in units} == set(mix)
        assert all(mix[unit] == precision for precision, units in variant.items() for unit in units)
    assert [set(mix.values()) for mix in plan.mixes[:3]] == [set(), {INT8}, {INT16}]


def test_scripts_find_the_keys_that_they_always_found(residual):
    plan = measurement_plan(residual.graph, residual.calibration, Setup(Runtime(), 3), "board")
    content = json.loads(msgspec.json.encode(plan))
    assert list(content) == [
        "format", "device", "threads", "provider", "rounds", "scheme", "model_sha256", "units", "switches",
        "precisions", "variants", "stages", "wires",
    ]  # fmt: skip
    assert content["units"][0] == [residual.graph.units[0].name, True]
    assert content["switches"][0] == ["x", 512, -1, [0]]
    assert content["wires"][0][1:] == ["encode", 1024]


def test_an_order_is_the_same_in_memory_and_as_a_bundle_has_it_whatever_a_run_chooses(residual, tmp_path):
    plan = measurement_plan(residual.graph, residual.calibration, Setup(Runtime(), 3), "board")
    save_json(plan, tmp_path / "order.json")
    written = json.loads((tmp_path / "order.json").read_text())
    expected = order_hash(msgspec.to_builtins(plan))
    chosen = {"files": {"measure.py": "0"}, "rounds": 8, "threads": 4}
    assert order_hash(written | chosen) == expected
    for key in written.keys() - chosen.keys():
        assert order_hash(written | {key: "other"}) != expected
