"""What becomes of a difference between source and conversion; with TensorFlow: test_end_to_end.py."""

from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest

from planner.conversion.cached_conversion import Converted
from planner.conversion.equivalence_check import check_on_random
from planner.conversion.request import (
    ANSWERS,
    CONVERSION,
    MODEL,
    SAMPLES,
    ConversionRequest,
    ConversionResult,
    OnnxForm,
    SourceInput,
    SourceKind,
)
from planner.report.tables.plan_tables import conversion_lines
from profiling.errors import ModelError

_TWICE = """
<ir_version: 8, opset_import: ["" : 17]>
twice (float[1, 2] x) => (float[1, 2] same, float[1, 2] y) { same = Identity(x) y = Add(x, x) }
"""


def _converted(folder: Path, answer: list[float]) -> Converted:
    onnx.save(onnx.parser.parse_model(_TWICE), folder / MODEL)
    x = np.array([[[1, 2]]], np.float32)
    np.savez(folder / SAMPLES, x=x)
    np.savez(folder / ANSWERS, same=x, y=np.array([[answer]], np.float32))
    end = SourceInput(name="x", dtype="float32", shape=(1, 2), channels_last=False)
    record = ConversionResult(source="a.tflite", opset=17, versions={}, inputs=(end,), quantized=False)
    (folder / CONVERSION).write_bytes(msgspec.json.encode(record))
    return Converted(
        ConversionRequest(kind=SourceKind.TFLITE, target="a.tflite", form=OnnxForm(opset=17)), folder
    )


def test_a_difference_on_random_numbers_is_a_warning_that_names_the_output(tmp_path):
    check = check_on_random(_converted(tmp_path, [2, 5]))
    assert check.doubt.startswith("its answers differ on random numbers, first at output 'y': by 1 at most")
    assert "report" not in check.doubt
    assert conversion_lines(check)[-1] == f"warning: {check.doubt}"
    assert check_on_random(_converted(tmp_path, [2, 5])) == check


def test_answers_that_agree_give_no_warning(tmp_path):
    check = check_on_random(_converted(tmp_path, [2, 4]))
    assert check.doubt == ""
    assert not any("warning" in line for line in conversion_lines(check))


def test_an_input_that_has_the_name_of_an_output_is_refused(tmp_path):
    """As tf2onnx writes a .tflite file whose input is an output, too."""
    converted = _converted(tmp_path, [2, 4])
    onnx.save(onnx.parser.parse_model(_TWICE.replace("x", "echo")), tmp_path / MODEL)
    with pytest.raises(ModelError, match="calls an input 'echo', as an output that hands it on"):
        check_on_random(converted)
