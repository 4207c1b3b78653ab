import json

import pytest
from made_records import SCENARIO
from onnx import TensorProto

from planner.costs.device_costs import DeviceCosts
from planner.costs.tensor_formats import TensorFormats, tensor_bytes
from planner.problem.tensors import Format
from planner.scenario.loader import parse_scenario
from profiling.graph.any_model import Tensor
from profiling.precision import Precision

FP32, INT8, INT16 = Precision.FP32, Precision.INT8, Precision.INT16
EVERY = ["fp32", "int8", "int16"]
AFFINE, SYMMETRIC = (DeviceCosts({}, {}, {}, {}, symmetric=symmetric) for symmetric in (False, True))


def formats_of(camera: DeviceCosts, server: DeviceCosts, precisions=(EVERY, EVERY)) -> TensorFormats:
    devices = [
        {"name": name, "precisions": allowed}
        for name, allowed in zip(("camera", "server"), precisions, strict=True)
    ]
    devices[1] |= {"scaled_from": "camera"}
    scenario = parse_scenario(json.dumps(SCENARIO | {"precisions": EVERY, "devices": devices}).encode())
    return TensorFormats.of(scenario, {"camera": camera, "server": server})


@pytest.mark.parametrize("pair", [(AFFINE, SYMMETRIC), (SYMMETRIC, AFFINE)])
def test_each_precision_has_a_format_per_way_of_quantizing_the_affine_one_first(pair):
    formats = formats_of(*pair)
    assert formats.formats() == (
        Format("float"),
        Format("uint8", (1,)),
        Format("int8", (2,)),
        Format("uint16", (1, 3), has_integer_kernel=False),
        Format("int16", (2, 4), has_integer_kernel=False),
    )
    assert formats.precisions == (FP32, INT8, INT8, INT16, INT16)
    numbers = [formats.number(precision, costs) for precision in (INT8, INT16) for costs in pair]
    assert numbers == ([1, 2, 3, 4] if pair[0] is AFFINE else [2, 1, 4, 3])


def test_devices_that_quantize_alike_share_their_formats():
    formats = formats_of(AFFINE, AFFINE)
    assert [known.name for known in formats.formats()] == ["float", "uint8", "uint16"]
    assert [known.accepts for known in formats.formats()] == [(), (1,), (1, 2)]


def test_only_precisions_that_some_device_may_use_have_formats():
    assert formats_of(AFFINE, AFFINE, (["fp32"], ["fp32", "int16"])).precisions == (FP32, INT16)
    assert formats_of(AFFINE, AFFINE, (["fp32", "int8"], ["fp32"])).precisions == (FP32, INT8)


def test_where_no_device_may_quantize_there_is_the_format_of_int8_for_wires():
    assert formats_of(AFFINE, AFFINE, (["fp32"], ["fp32"])).precisions == (FP32, INT8)


@pytest.mark.parametrize(
    ("elem_type", "sizes"),
    [(TensorProto.FLOAT, (24, 6, 12)), (TensorProto.INT64, (48, 48, 48)), (TensorProto.UINT8, (6, 6, 6))],
)
def test_only_floats_shrink_where_they_are_quantized(elem_type, sizes):
    tensor = Tensor("t", (1, 2, 3), elem_type)
    assert tuple(tensor_bytes(tensor, precision) for precision in (FP32, INT8, INT16)) == sizes
