"""Ranges are those of NumPy, and no tensor waits in memory for its range to be taken."""

from pathlib import Path

import numpy as np
import onnx
from onnx import helper, parser

from profiling.on_device.kernels import read_op_types
from profiling.quantization import activation_ranges as ranges
from profiling.quantization.activation_ranges import tensor_ranges
from profiling.runtime.open_session import Trace, open_session

LENGTH = 12
TENSORS = [f"t{i}" for i in range(LENGTH + 1)]


def chain() -> onnx.ModelProto:
    """Return a model that takes the sine of `t0` again and again."""
    model = parser.parse_model(
        f'<ir_version: 8, opset_import: ["" : 17]>\nchain (float[6] t0) => (float[6] t{LENGTH}) {{}}'
    )
    model.graph.node.extend(
        helper.make_node("Sin", [TENSORS[i]], [TENSORS[i + 1]], name=f"n{i}") for i in range(LENGTH)
    )
    return model


def test_ranges_are_those_of_all_samples():
    rng = np.random.default_rng(3)
    samples = [{"t0": rng.normal(size=6).astype(np.float32)} for _ in range(5)]
    found = tensor_ranges(chain(), TENSORS, samples)
    values = np.stack([sample["t0"] for sample in samples])
    for name in TENSORS:
        np.testing.assert_allclose(found[name], (values.min(), values.max()), rtol=1e-5)
        values = np.sin(values)


def test_a_nan_counts_only_where_there_is_nothing_else():
    hole, all_holes = np.array([np.nan, 1, 2, 3, 4, 5], np.float32), np.full(6, np.nan, np.float32)
    assert tensor_ranges(chain(), ["t0"], [{"t0": hole + 1}, {"t0": np.zeros(6, np.float32)}])["t0"][0] == 0
    assert np.isnan(tensor_ranges(chain(), ["t0"], [{"t0": all_holes}])["t0"]).all()


def test_a_range_is_taken_right_behind_its_tensor(tmp_path, monkeypatch):
    opened = []

    def traced(*args, **more):
        opened.append(open_session(*args, **more, trace=Trace(tmp_path / "run")))
        return opened[-1]

    monkeypatch.setattr(ranges, "open_session", traced)
    tensor_ranges(chain(), TENSORS, [{"t0": np.ones(6, np.float32)}])
    kernels = read_op_types(Path(opened[0].end_profiling()))
    waiting = [kernels[: i + 1].count("Sin") - kernels[:i].count("ReduceMin") for i in range(len(kernels))]
    assert kernels.count("ReduceMin") == LENGTH + 1
    assert max(waiting) <= 1
