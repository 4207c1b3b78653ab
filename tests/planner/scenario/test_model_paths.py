from pathlib import Path

import pytest

from planner.scenario.model_paths import is_object, located_conversion, located_model
from planner.scenario.schema import ConversionSpec

HERE = Path("/place")


@pytest.mark.parametrize(
    ("model", "located"),
    [
        ("m.onnx", "/place/m.onnx"),
        ("deep/m.onnx", "/place/deep/m.onnx"),
        ("/else/m.onnx", "/else/m.onnx"),
        ("../m.onnx", "/place/../m.onnx"),
        ("~/m.onnx", str(Path.home() / "m.onnx")),
        ("keras:MobileNetV2", "keras:MobileNetV2"),
        ("module:make", "/place/module:make"),
        ("package.module:make", "/place/package.module:make"),
        ("/else/module:make", "/else/module:make"),
        ("a b:c", "/place/a b:c"),  # a file: no module has such a name
    ],
)
def test_a_path_is_made_absolute_and_a_name_is_kept(model, located):
    assert located_model(model, HERE) == located


def test_an_object_is_what_looks_so_and_is_no_file(tmp_path):
    assert is_object(f"{tmp_path}/module:make")
    assert not is_object("keras:MobileNetV2")
    assert not is_object(f"{tmp_path}/m.onnx")
    (tmp_path / "odd:name").write_text("")
    assert not is_object(f"{tmp_path}/odd:name")


@pytest.mark.parametrize(
    ("weights", "located"),
    [(None, None), ("imagenet", "imagenet"), ("w.h5", "/place/w.h5"), ("/else/w.h5", "/else/w.h5")],
)
def test_weights_are_a_file_unless_they_have_a_name(weights, located):
    assert located_conversion(ConversionSpec(weights=weights), HERE).weights == located


@pytest.mark.parametrize(
    ("objects", "located"), [("o:c", "/place/o:c"), ("/else/o:c", "/else/o:c"), (None, None)]
)
def test_custom_objects_are_found_beside_the_scenario(objects, located):
    assert located_conversion(ConversionSpec(custom_objects=objects), HERE).custom_objects == located
