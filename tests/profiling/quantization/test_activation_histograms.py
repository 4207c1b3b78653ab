import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from profiling.quantization import activation_histograms
from profiling.quantization.activation_histograms import seen_values
from profiling.quantization.activation_ranges import tensor_ranges
from profiling.quantization.value_histogram import histogram_of

TENSORS = ["x", "t", "y"]


def chain() -> onnx.ModelProto:
    nodes = [helper.make_node("Neg", ["x"], ["t"]), helper.make_node("Relu", ["t"], ["y"])]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [6]) for name in ("x", "y")]
    graph = helper.make_graph(nodes, "chain", ends[:1], ends[1:])
    return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])


@pytest.mark.parametrize("most_bytes", [1, 10**9])
def test_values_are_those_of_all_samples_however_many_are_run_at_once(monkeypatch, most_bytes):
    monkeypatch.setattr(activation_histograms, "_MOST_BYTES", most_bytes)
    x = np.random.default_rng(0).normal(size=(5, 6)).astype(np.float32)
    feeds = [{"x": row} for row in x]
    found = seen_values(chain(), TENSORS, feeds)
    values = {"x": x, "t": -x, "y": np.maximum(-x, 0)}
    for name, expected in values.items():
        whole = histogram_of(expected)
        assert np.array_equal(found[name].histogram.counts, whole.counts)
        assert (found[name].histogram.exponent, found[name].histogram.zeros) == (whole.exponent, whole.zeros)
    assert {n: (v.low, v.high) for n, v in found.items()} == tensor_ranges(chain(), TENSORS, feeds)


def test_infinity_is_an_extreme_and_nan_is_none():
    rows = [np.array([1, np.nan, 0, 2, 3, -4]), np.array([1, np.inf, 0, 2, 3, 4])]
    found = seen_values(chain(), ["x"], [{"x": row.astype(np.float32)} for row in rows])["x"]
    assert (found.low, found.high) == (-4.0, np.inf)
    assert found.histogram.counts.sum() == 10
