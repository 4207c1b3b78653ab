import io

import models
import msgspec
import numpy as np
import odd_models
import onnx
import pytest
from rich.console import Console

from planner.report.tables.inspection_table import inspection_table
from profiling.errors import ModelError
from profiling.inspection import Inspection, inspect_model


def inspect(model: onnx.ModelProto, folder, **shapes) -> Inspection:
    onnx.save(model, folder / "m.onnx")
    return inspect_model(folder / "m.onnx", shapes)


def shown(found: Inspection) -> str:
    page = io.StringIO()
    Console(width=120, file=page).print(inspection_table(found))
    return page.getvalue()


def test_it_tells_ends_operators_and_sizes(tmp_path):
    found = inspect(models.residual(), tmp_path)
    assert (found.opset, found.operators["Conv"], len(found.units)) == (17, 3, 5)
    (end,) = found.inputs
    assert (end.name, end.dtype, end.shape, end.size_bytes) == ("x", "float32", (1, 2, 8, 8), 512)
    weights = sum(np.prod(init.dims) for init in models.residual().graph.initializer) * 4
    assert found.weight_bytes == weights
    assert found.weight_bytes_int8 < weights
    assert all(unit.fp32_s >= 0 for unit in found.units)
    assert sum(unit.fp32_s for unit in found.units) > 0


def test_it_tells_why_something_cannot_be_quantized(tmp_path):
    text = shown(inspect(odd_models.odd_model("nested_if"), tmp_path))
    assert "If runs a nested graph" in text
    assert "can be quantized" in text


def test_names_are_shown_as_they_are(tmp_path):
    assert "[red]u" in shown(inspect(odd_models.odd_model("strange_names"), tmp_path))


def test_dynamic_shapes_can_be_given(tmp_path):
    model = models.with_weights(models._RESIDUAL.replace("float[N, 2, 8, 8]", "float[N, 2, H, W]"))
    with pytest.raises(ModelError, match="declare it"):
        inspect(model, tmp_path)
    assert inspect(model, tmp_path, x=(1, 2, 8, 8)).inputs[0].shape == (1, 2, 8, 8)


def test_scripts_find_the_keys_that_they_always_found(tmp_path):
    content = msgspec.to_builtins(inspect(models.residual(), tmp_path))
    ends = {"name", "dtype", "shape", "size_bytes"}
    bytes_of = {"weight_bytes", "weight_bytes_int8", "output_bytes"}
    assert content.keys() >= {"model", "opset", "inputs", "outputs", "operators", "units", "tried_out"}
    assert all(end.keys() >= ends for end in (*content["inputs"], *content["outputs"]))
    assert content["units"][0].keys() >= {"name", "op_types", "obstacle", "quantized", "fp32_s", *bytes_of}
