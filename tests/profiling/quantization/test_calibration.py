import numpy as np
import pytest

from profiling.errors import QuantizeError
from profiling.quantization.activation_ranges import tensor_ranges
from profiling.quantization.calibration import Calibration, calibrate, calibrate_ranges
from profiling.quantization.qdq_model import INT8, Scheme
from profiling.quantization.ranges_file import read_ranges
from profiling.range_method import RangeMethod, TensorRanges

EVERY = [TensorRanges(m, side) for m in RangeMethod for side in (False, True)]


def test_calibration_needs_samples(residual, tmp_path):
    with pytest.raises(QuantizeError, match="at least one sample"):
        calibrate(residual.graph.model, [], [], tmp_path / "r.json")


def test_records_of_noise_depend_on_the_file_of_other_ranges(tmp_path):
    files = [tmp_path / name for name in ("a.json", "b.json")]
    assert len({Calibration(INT8, path).key for path in files}) == 1
    assert len({Calibration(Scheme(ranges=RangeMethod.BEST), path).key for path in files}) == 2


def test_the_ranges_around_some_nodes_are_read_as_they_were_written(residual, tmp_path):
    model, node = residual.graph.model, residual.graph.model.graph.node[0]
    calibrate(model, [node.name], residual.samples, tmp_path / "r.json")
    floats = [node.input[0], *node.output]
    expected = tensor_ranges(model, floats, residual.samples)
    assert read_ranges(tmp_path / "r.json") == {name: tuple(map(float, expected[name])) for name in floats}


def test_two_passes_over_the_same_samples_give_the_same_file(residual, tmp_path):
    model, nodes = residual.graph.model, residual.graph.quantizable_nodes
    for name in ("a.json", "b.json"):
        calibrate_ranges(model, nodes, residual.samples, tmp_path / name, EVERY)
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def test_one_pass_gives_every_method_and_the_extremes_as_they_are(residual, tmp_path):
    model, nodes = residual.graph.model, residual.graph.quantizable_nodes
    calibrate(model, nodes, residual.samples, tmp_path / "minmax.json")
    calibrate_ranges(model, nodes, residual.samples[:5], tmp_path / "r.json", EVERY, residual.samples[5:])
    extremes = read_ranges(tmp_path / "minmax.json")
    assert read_ranges(tmp_path / "r.json") == extremes
    for wanted in EVERY:
        found = read_ranges(tmp_path / "r.json", wanted)
        assert found.keys() == extremes.keys()
        for name, (low, high) in found.items():
            assert min(extremes[name][0], 0.0) <= low <= high <= max(extremes[name][1], 0.0)
    clipped = read_ranges(tmp_path / "r.json", TensorRanges(RangeMethod.PERCENTILE))
    assert any(not np.allclose(clipped[name], extremes[name]) for name in extremes)
