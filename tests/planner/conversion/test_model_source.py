import json

import pytest

from planner.conversion.model_source import conversion_request, tflite_request
from planner.conversion.request import IntegerType, SourceKind, TfliteForm, TfliteQuantization
from planner.scenario.loader import parse_conversion
from planner.scenario.model_paths import located_conversion, located_model
from planner.scenario.schema import ConversionSpec
from planner.scenario.validation import check_scenario
from profiling.errors import ModelError


@pytest.mark.parametrize(
    ("model", "kind", "target"),
    [
        ("keras:ResNet50", SourceKind.APPLICATION, "ResNet50"),
        ("net.keras", SourceKind.KERAS, "{}/net.keras"),
        ("deep/net.h5", SourceKind.KERAS, "{}/deep/net.h5"),
        ("net.tflite", SourceKind.TFLITE, "{}/net.tflite"),
        ("exported", SourceKind.SAVED_MODEL, "{}/exported"),
        ("my_models:build", SourceKind.OBJECT, "{}/my_models:build"),
        ("/elsewhere/my_models:build", SourceKind.OBJECT, "/elsewhere/my_models:build"),
    ],
)
def test_the_name_tells_what_a_model_is(tmp_path, model, kind, target):
    (tmp_path / "exported").mkdir()
    (tmp_path / "exported" / "saved_model.pb").write_bytes(b"")
    order = conversion_request(located_model(model, tmp_path), ConversionSpec(), {})
    assert order is not None
    assert (order.kind, order.target) == (kind, target.format(tmp_path))


@pytest.mark.parametrize("file", ["model.onnx", "model.tflite", "model/saved_model.pb"])
def test_a_plans_folder_is_told_with_the_model_that_it_holds(tmp_path, file):
    plan = tmp_path / "plan"
    (plan / file).parent.mkdir(parents=True)
    (plan / file).write_bytes(b"")
    (plan / "manifest.json").write_text("{}")
    with pytest.raises(ModelError) as refused:
        conversion_request(str(plan), ConversionSpec(), {})
    named = plan / file.removesuffix("/saved_model.pb")
    assert f"is a plan's folder: give {named}, or `plan verify" in str(refused.value)


def test_anything_else_is_an_onnx_file(tmp_path):
    (tmp_path / "odd:name").write_bytes(b"")
    for name in ("net.onnx", "net", "odd:name"):
        assert conversion_request(str(tmp_path / name), ConversionSpec(), {}) is None


@pytest.mark.parametrize(
    ("model", "how", "told"),
    [
        ("net.onnx", {"opset": 15}, "conversion.opset: .*net.onnx is an ONNX file"),
        (
            "net.keras",
            {"weights": "w.h5"},
            "conversion.weights: does not apply to .*net.keras; it is for keras:NAME",
        ),
        ("keras:MobileNet", {"signature": "a"}, "conversion.signature: .*it is for SavedModel folders"),
        ("net.weights.h5", {}, "holds weights only; set model: keras:NAME or module:function"),
        (".", {}, "is a folder but no SavedModel"),
        ("net.pt", {}, "is PyTorch's: export it with torch.onnx.export"),
        ("train.py", {}, "is Python code: name the function .*, such as .*/train:FUNCTION"),
        ("plan", {}, "is a plan's folder: give .*/plan/model.onnx, or `plan verify"),
        ("compared", {}, "is a comparison's folder"),
        (
            "net.keras",
            {"quantization": "none"},
            "^conversion.quantization: is for runtime litert; for ONNX Runtime a plan quantizes, not the",
        ),
        ("net.keras", {"integer_type": "int8"}, "^conversion.integer_type: is for runtime litert"),
    ],
)
def test_options_that_change_nothing_and_what_is_no_model_are_refused(tmp_path, model, how, told):
    (tmp_path / "train.py").touch()
    for folder, file in (("plan", "manifest.json"), ("compared", "compare.json")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / file).touch()
    with pytest.raises(ModelError, match=told):
        conversion_request(located_model(model, tmp_path), ConversionSpec(**how), {})


@pytest.mark.parametrize(
    ("model", "how", "told"),
    [
        (
            "net.onnx",
            {},
            "runtime litert takes models of Keras, TensorFlow and TFLite, and .*net.onnx is none",
        ),
        ("net.keras", {"opset": 15}, "conversion.opset: is of ONNX models"),
        ("net.keras", {"signature": "a"}, "conversion.signature: does not apply to .*net.keras"),
        (
            "net.tflite",
            {"quantization": "dynamic"},
            "conversion.quantization: .*net.tflite is a .tflite file",
        ),
        (
            "net.keras",
            {"quantization": "full_integer", "integer_type": "int8"},
            "conversion.integer_type: goes with conversion.quantization: integer_only",
        ),
    ],
)
def test_options_that_do_not_go_with_litert_are_refused(tmp_path, model, how, told):
    with pytest.raises(ModelError, match=told) as caught:
        tflite_request(located_model(model, tmp_path), ConversionSpec(**how), {})
    assert len(str(caught.value).splitlines()) == 1


def test_a_tflite_file_is_not_converted_for_litert_and_anything_else_as_asked(tmp_path):
    assert tflite_request(str(tmp_path / "net.tflite"), ConversionSpec(signature="a"), {}) is None
    plain = tflite_request("keras:MobileNet", ConversionSpec(), {"x": (1, 2)})
    assert plain is not None
    assert (plain.form, plain.input_shapes) == (TfliteForm(), {"x": (1, 2)})
    how = ConversionSpec(quantization="integer_only", integer_type="uint8")
    integer = tflite_request("keras:MobileNet", how, {})
    assert integer is not None
    assert integer.form == TfliteForm(
        quantization=TfliteQuantization.INTEGER_ONLY, integer_type=IntegerType.UINT8
    )


def test_paths_are_made_absolute_and_words_are_not(tmp_path):
    found = located_conversion(ConversionSpec(weights="w.h5", custom_objects="mine:Layer"), tmp_path)
    assert (found.weights, found.custom_objects) == (f"{tmp_path}/w.h5", f"{tmp_path}/mine:Layer")
    assert located_conversion(ConversionSpec(weights="imagenet"), tmp_path).weights == "imagenet"


def test_a_plan_carries_how_its_model_was_converted(tmp_path):
    content = {
        "model": "keras:MobileNet",
        "conversion": {"arguments": {"alpha": 0.25, "input_shape": [32, 32, 3]}},
        "data": {"calibration": {"npz": "a"}, "evaluation": {"npz": "a"}},
        "devices": [{"name": "a"}],
        "source": "a",
        "sink": "a",
    }
    scenario, faults = check_scenario(json.dumps(content))
    assert not faults
    assert scenario is not None
    order = conversion_request(scenario.model, scenario.conversion, {})
    assert order is not None
    assert order.arguments == {"alpha": 0.25, "input_shape": [32, 32, 3]}


def test_settings_of_the_command_line_are_those_of_the_scenario(tmp_path):
    found = parse_conversion(["weights=w.h5", "opset=15", "arguments.alpha=0.5"], tmp_path)
    assert (found.weights, found.opset, found.arguments) == (f"{tmp_path}/w.h5", 15, {"alpha": 0.5})
