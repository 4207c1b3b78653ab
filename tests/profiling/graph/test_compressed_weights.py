import zlib

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from prepared_models import Prepared

from profiling.graph.compressed_weights import CompressedWeights, compress_weights, with_compressed
from profiling.precision import Precision
from profiling.quantization.node_forms import FORMS
from profiling.records.json_files import load_json, save_json


@pytest.fixture(scope="module")
def pruned(digits, tmp_path_factory):
    """Return the digits network with nine of ten weights of each matrix at zero."""
    model = onnx.load(digits.path)
    rng = np.random.default_rng(0)
    for init in model.graph.initializer:
        values = numpy_helper.to_array(init)
        if values.ndim > 1 and values.dtype == np.float32:
            init.CopyFrom(numpy_helper.from_array(values * (rng.random(values.shape) < 0.1), init.name))
    return Prepared(model, tmp_path_factory.mktemp("pruned"), "pruned")


def test_a_unit_weighs_what_its_weights_are_compressed_each_by_itself(digits):
    sizes = {one.name: one for one in compress_weights(digits.graph, digits.calibration)}
    constants = {init.name: init for init in digits.graph.model.graph.initializer}
    nodes = {node.name: node for node in digits.graph.model.graph.node}
    for unit in digits.graph.units:
        names = {name for node in unit.nodes for name in nodes[node].input if name in constants}
        arrays = [numpy_helper.to_array(constants[name]) for name in names]
        assert sizes[unit.name].fp32 == sum(len(zlib.compress(a.tobytes(), 6)) for a in arrays)


def test_random_weights_hardly_shrink_and_pruned_ones_do(digits, pruned):
    for prepared, least, most in ((digits, 0.7, 1.2), (pruned, 0.1, 0.45)):
        sizes = compress_weights(prepared.graph, prepared.calibration)
        plain = sum(unit.weight_bytes for unit in prepared.graph.units)
        assert least < sum(one.fp32 for one in sizes) / plain < most


def test_int8_and_compression_add_up(pruned):
    heavy = max(range(len(pruned.graph.units)), key=lambda index: pruned.graph.units[index].weight_bytes)
    one = compress_weights(pruned.graph, pruned.calibration)[heavy]
    unit = pruned.graph.units[heavy]
    assert one.int8 < unit.weight_bytes_int8 < unit.weight_bytes
    assert one.int8 < one.fp32
    assert one.int16 < one.fp32


def test_a_graph_tells_what_its_weights_take_where_they_are_kept(digits):
    graph = digits.graph
    sizes = compress_weights(graph, digits.calibration)
    packed = with_compressed(graph, sizes)
    for unit, one in zip(graph.units, sizes, strict=True):
        assert graph.stored_bytes(unit.index, Precision.INT8) == unit.weight_bytes_int8
        assert packed.stored_bytes(unit.index, Precision.FP32) == one.fp32
        assert packed.stored_bytes(unit.index, Precision.INT8) == one.int8


def test_sizes_are_kept_as_json(digits, tmp_path):
    record = CompressedWeights(compress_weights(digits.graph, digits.calibration))
    save_json(record, tmp_path / "sizes.json")
    assert load_json(tmp_path / "sizes.json", CompressedWeights) == record


def test_forms_are_compressed_as_they_are_stored(digits):
    graph = digits.graph
    sizes = compress_weights(graph, digits.calibration)
    known = with_compressed(graph, sizes)
    for unit, one in zip(graph.units, sizes, strict=True):
        assert one.others.keys() == {p for p in FORMS if unit.can_be(p)}
        for precision in one.others:
            assert known.stored_bytes(unit.index, precision) == one.others[precision]
        if unit.can_be(Precision.FLOAT16):
            assert unit.weight_bytes_in(Precision.FLOAT16) == unit.weight_bytes
            assert 0.4 < one.others[Precision.FLOAT16] / one.fp32 < 0.7
        if unit.can_be(Precision.WEIGHTS_INT4):
            assert one.others[Precision.WEIGHTS_INT4] < one.others[Precision.WEIGHTS_INT8] < one.fp32
