"""A Resize over some axes becomes the same over all, where that can be said in constants."""

import numpy as np
import onnx
import pytest
from text_models import make, samples_of

from profiling.on_device.create_session import Optimization
from profiling.preparation.resize_axes import spread_resize_axes
from profiling.runtime.open_session import Runtime, open_session, run_session

_TEXT = "(float[1, 3, 6, 4] x) => (float[a, b, c, d] y) {{ y = Resize <{}> ({}) }}"
_SHAPES = {"x": [1, 3, 6, 4]}


def spread(model: onnx.ModelProto, shapes=_SHAPES) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    spread_resize_axes(copy.graph, shapes)
    onnx.checker.check_model(copy)
    return copy


def has_axes(model: onnx.ModelProto) -> bool:
    return any(a.name == "axes" for node in model.graph.node for a in node.attribute)


@pytest.mark.parametrize("mode", ["nearest", "linear"])
@pytest.mark.parametrize(
    ("axes", "constants"),
    [
        ([2, 3], {"s": np.float32([2, 3])}),
        ([3, 2], {"s": np.float32([2, 3])}),
        ([-1, -2], {"s": np.float32([0.5, 1.5])}),
        ([3], {"s": np.float32([2.5])}),
        ([2, 3], {"n": np.array([9, 5])}),
        ([3, 2], {"n": np.array([9, 5])}),
        ([-2], {"n": np.array([4])}),
    ],
)
def test_numbers_stay_bit_for_bit(mode, axes, constants):
    ends = "x, , s" if "s" in constants else "x, , , n"
    source = make(_TEXT.format(f'mode = "{mode}", axes = {axes}', ends), constants, opset=18)
    result = spread(source)
    assert has_axes(source)
    assert not has_axes(result)
    (feeds,) = samples_of(source, 1)
    expected, actual = (
        run_session(open_session(model, Runtime(), Optimization.NONE), feeds)["y"]
        for model in (source, result)
    )
    assert actual.shape == expected.shape
    assert actual.tobytes() == expected.tobytes()


def test_a_constant_that_two_resizes_read_is_spread_for_each():
    text = """(float[1, 3, 6, 4] x) => (float[1, 3, 12, 4] y, float[1, 3, 6, 8] z) {
        y = Resize <axes = [2]> (x, , s)
        z = Resize <axes = [3]> (x, , s)
    }"""
    source = make(text, {"s": np.float32([2])}, opset=18)
    (feeds,) = samples_of(source, 1)
    outputs = run_session(open_session(spread(source), Runtime(), Optimization.NONE), feeds)
    assert {name: array.shape for name, array in outputs.items()} == {"y": (1, 3, 12, 4), "z": (1, 3, 6, 8)}


@pytest.mark.parametrize(
    ("attributes", "ends", "constants", "shapes"),
    [
        ("axes = [2, 3]", "x, , s", {"t": np.float32([2, 3])}, _SHAPES),
        ("axes = [2, 3]", "x, , s", {"s": np.float32([2, 3])}, {}),
        (
            'axes = [2, 3], keep_aspect_ratio_policy = "not_larger"',
            "x, , , s",
            {"s": np.array([9, 5])},
            _SHAPES,
        ),
        (
            'axes = [2, 3], coordinate_transformation_mode = "tf_crop_and_resize"',
            "x, r, s",
            {"s": np.float32([2, 3]), "r": np.float32([0, 0, 1, 1])},
            _SHAPES,
        ),
    ],
    ids=["scales computed", "shape unknown", "aspect ratio", "region of interest"],
)
def test_what_constants_cannot_say_stays_as_it_is(attributes, ends, constants, shapes):
    text = _TEXT.format(attributes, ends)
    if "t" in constants:
        text = text.replace("{", "{ s = Abs (t) ", 1)
    source = make(text, constants, opset=18)
    assert spread(source, shapes) == source
