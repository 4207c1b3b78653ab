import pytest

from profiling.errors import QuantizeError
from profiling.quantization.activation_ranges import tensor_ranges
from profiling.quantization.calibration import calibrate, read_ranges


def test_calibration_needs_samples(residual, tmp_path):
    with pytest.raises(QuantizeError, match="at least one sample"):
        calibrate(residual.graph.model, [], [], tmp_path / "r.json")


def test_the_ranges_around_some_nodes_are_read_as_they_were_written(residual, tmp_path):
    model, node = residual.graph.model, residual.graph.model.graph.node[0]
    calibrate(model, [node.name], residual.samples, tmp_path / "r.json")
    floats = [node.input[0], *node.output]
    expected = tensor_ranges(model, floats, residual.samples)
    assert read_ranges(tmp_path / "r.json") == {name: tuple(map(float, expected[name])) for name in floats}
