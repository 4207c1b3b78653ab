import numpy as np
import onnx
import pytest
from text_models import make

from planner.deployment.built_models import VerificationTarget
from planner.verification.chain_check import check_chain
from profiling.runtime.open_session import Optimization, Runtime

SAMPLES = [{"x": np.random.default_rng(n).standard_normal((1, 64)).astype(np.float32)} for n in range(3)]
WEIGHTS = {"w": np.random.default_rng(9).standard_normal((64, 64)).astype(np.float32), "two": np.float32(2)}
X, A, Y = (f"float[1,64] {name}" for name in "xay")


def model(ends: str, body: str, **values) -> onnx.ModelProto:
    known = WEIGHTS | values
    return make(f"{ends} {{ {body} }}", {name: value for name, value in known.items() if name in body})


WHOLE = model(f"({X}) => ({Y})", "a = MatMul (x, w) y = Mul (a, two)")
FIRST = model(f"({X}) => ({A})", "a = MatMul (x, w)")
SECOND = model(f"({A}) => ({Y})", "y = Mul (a, two)")


def checked(*stages: onnx.ModelProto, whole: onnx.ModelProto = WHOLE):
    levels = [Optimization.DEFAULT] * len(stages)
    return check_chain(VerificationTarget(whole, whole, stages, levels), SAMPLES, Runtime())


def test_a_model_is_equal_to_its_stages():
    for stages in ((WHOLE,), (FIRST, SECOND)):
        found = checked(*stages)
        assert (found.samples, found.basic_bit_equal) == (3, True)
        assert found.default_relative_difference < 1e-6
        assert (found.integer_kernels, found.integer_kernels_whole, found.added_transposes) == (0, 0, 0)


def test_a_stage_that_computes_something_else_is_found_out_with_how_much():
    wrong = model(f"({A}) => ({Y})", "y = Mul (a, two)", two=np.float32(2.2))
    found = checked(FIRST, wrong)
    assert not found.basic_bit_equal
    assert not found.default_bit_equal
    assert found.default_relative_difference == pytest.approx(0.1, rel=1e-3)


def test_another_last_bit_is_found_out():
    nearly = np.nextafter(np.float32(2), np.float32(3))
    found = checked(FIRST, model(f"({A}) => ({Y})", "y = Mul (a, two)", two=nearly))
    assert not found.basic_bit_equal
    assert 0 < found.default_relative_difference < 1e-6


def test_a_difference_from_zero_is_a_whole_one():
    nothing = model(f"({X}) => ({Y})", "a = Sub (x, x) y = Mul (a, two)")
    assert checked(nothing, whole=nothing).default_relative_difference == 0.0
    assert checked(WHOLE, whole=nothing).default_relative_difference == 1.0
