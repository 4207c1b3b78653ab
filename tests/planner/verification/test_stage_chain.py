import numpy as np
import onnx
import pytest
from onnx import parser

from planner.verification.stage_chain import Chain, same_bits
from profiling.on_device.create_session import Optimization
from profiling.runtime.open_session import Runtime


def stage(text: str) -> onnx.ModelProto:
    return parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]> g {text}')


FIRST = stage("(float[2] x) => (float[2] a, float[2] z) { a = Neg (x) z = Abs (x) }")
SECOND = stage("(float[2] a, float[2] x) => (float[2] b) { b = Add (a, x) }")
THIRD = stage("(float[2] b, float[2] a) => (float[2] y) { y = Sub (b, a) }")
X = np.array([3.0, -4.0], np.float32)


def test_a_stage_takes_what_any_earlier_one_gave_and_the_models_inputs():
    answer = Chain([FIRST, SECOND, THIRD], Runtime()).run({"x": X}, ("y", "z"))
    assert list(answer) == ["y", "z"]
    np.testing.assert_array_equal(answer["y"], X)  # (-x + x) - -x
    np.testing.assert_array_equal(answer["z"], np.abs(X))


def test_files_run_as_models_do(tmp_path):
    paths = []
    for number, model in enumerate((FIRST, SECOND, THIRD)):
        paths.append(tmp_path / f"{number}.onnx")
        onnx.save(model, paths[-1])
    np.testing.assert_array_equal(Chain(paths, Runtime()).run({"x": X}, ("y",))["y"], X)


def test_an_open_chain_runs_any_number_of_samples():
    chain = Chain([FIRST, SECOND, THIRD], Runtime(), Optimization.BASIC)
    for factor in (1, 5, -2):
        np.testing.assert_array_equal(chain.run({"x": factor * X}, ("y",))["y"], factor * X)


def test_a_tensor_that_no_stage_gave_is_missed_by_name():
    with pytest.raises(KeyError, match="a"):
        Chain([SECOND], Runtime()).run({"x": X}, ("b",))


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        (1.0, 1.0, True),
        (1.0, np.nextafter(np.float32(1.0), np.float32(2.0)), False),
        (0.0, -0.0, False),
        (np.nan, np.nan, True),
    ],
)
def test_bits_are_compared_not_values(a, b, same):
    one, other = ({"y": np.array([value], np.float32)} for value in (a, b))
    assert same_bits(one, other) is same


def test_another_type_with_the_same_bits_is_not_the_same():
    zeros = np.zeros(1, np.float32)
    assert not same_bits({"y": zeros}, {"y": zeros.view(np.int32)})
    assert not same_bits({"y": zeros, "z": zeros}, {"y": zeros, "z": zeros + 1})
