"""What a scenario calls its model -> a file that its runtime runs, or a request to convert what it is."""

from pathlib import Path

from planner.conversion.request import (
    ConversionRequest,
    IntegerType,
    OnnxForm,
    SavedModelForm,
    SourceKind,
    TfliteForm,
    TfliteQuantization,
)
from planner.scenario.model_paths import APPLICATION, is_object
from planner.scenario.schema import ConversionSpec
from profiling.errors import ModelError

_KERAS_FILES = (".keras", ".h5", ".hdf5")
_TORCH_FILES = (".pt", ".pth")
_WEIGHTS = ".weights.h5"


def conversion_request(
    model: str, conversion: ConversionSpec, input_shapes: dict[str, tuple[int, ...]]
) -> ConversionRequest | None:
    """Return the request to convert a located model to ONNX, or None if it is an ONNX file.

    Raises
    ------
    ModelError
        If the model cannot be told from its name, or the options do not go with it.
    """
    source_kind, target = _source_kind(model)
    if source_kind is None:
        options = sorted(conversion.model_fields_set)
        if options:
            raise ModelError(f"conversion.{options[0]}: {model} is an ONNX file, which is not converted")
        return None
    _refuse_options_of_tflite(conversion)
    _refuse_useless_options(source_kind, conversion, model)
    return _request(source_kind, target, OnnxForm(opset=conversion.opset), conversion, input_shapes)


def tflite_request(
    model: str, conversion: ConversionSpec, input_shapes: dict[str, tuple[int, ...]]
) -> ConversionRequest | None:
    """Return the request to convert a located model to a `.tflite` file, or None if it is one.

    Raises
    ------
    ModelError
        If it is an ONNX file, or the options do not go with it.
    """
    source_kind, target = _source_kind(model)
    if source_kind is None:
        raise ModelError(
            f"model: runtime litert takes models of Keras, TensorFlow and TFLite, and {model} is none"
        )
    if source_kind is SourceKind.TFLITE:
        for name in sorted(conversion.model_fields_set - {"signature"}):
            raise ModelError(f"conversion.{name}: {model} is a .tflite file, which is not converted")
        return None
    if "opset" in conversion.model_fields_set:
        raise ModelError("conversion.opset: is of ONNX models; runtime litert takes .tflite files")
    _refuse_useless_options(source_kind, conversion, model)
    return _request(source_kind, target, _tflite_form(conversion), conversion, input_shapes)


def saved_model_request(
    model: str, conversion: ConversionSpec, input_shapes: dict[str, tuple[int, ...]]
) -> ConversionRequest:
    """Return the request to write a located model as a SavedModel without variables.

    Raises
    ------
    ModelError
        If it is no model of Keras or TensorFlow, or the options do not go with it.
    """
    source_kind, target = _source_kind(model)
    if source_kind in (None, SourceKind.TFLITE):
        raise ModelError(
            f"model: runtime tensorflow takes models of Keras and TensorFlow, and {model} is none"
        )
    return _request(source_kind, target, SavedModelForm(), conversion, input_shapes)


def _tflite_form(conversion: ConversionSpec) -> TfliteForm:
    quantization = TfliteQuantization(conversion.quantization)
    if "integer_type" in conversion.model_fields_set and quantization is not TfliteQuantization.INTEGER_ONLY:
        raise ModelError("conversion.integer_type: goes with conversion.quantization: integer_only")
    return TfliteForm(quantization=quantization, integer_type=IntegerType(conversion.integer_type))


def _refuse_options_of_tflite(conversion: ConversionSpec) -> None:
    for name in ("quantization", "integer_type"):
        if name in conversion.model_fields_set:
            raise ModelError(
                f"conversion.{name}: is for runtime litert; for ONNX Runtime a plan quantizes, "
                "not the conversion"
            )


def _request(
    kind: SourceKind,
    target: str,
    form: OnnxForm | TfliteForm | SavedModelForm,
    conversion: ConversionSpec,
    input_shapes: dict[str, tuple[int, ...]],
) -> ConversionRequest:
    return ConversionRequest(
        kind=kind,
        target=target,
        form=form,
        weights=conversion.weights,
        arguments=dict(conversion.arguments),
        custom_objects=conversion.custom_objects,
        signature=conversion.signature,
        input_shapes=input_shapes,
    )


def _source_kind(model: str) -> tuple[SourceKind | None, str]:
    if model.startswith(APPLICATION):
        return SourceKind.APPLICATION, model.removeprefix(APPLICATION)
    path = Path(model)
    if model.endswith(_WEIGHTS):
        raise ModelError(
            f"model: {model} holds weights only; set model: keras:NAME or module:function for the "
            "architecture, and conversion.weights to this file"
        )
    if path.suffix in _KERAS_FILES:
        return SourceKind.KERAS, model
    if path.suffix == ".tflite":
        return SourceKind.TFLITE, model
    _refuse_code(path, model)
    if path.is_dir():
        _require_saved_model(path, model)
        return SourceKind.SAVED_MODEL, model
    return (SourceKind.OBJECT, model) if is_object(model) else (None, model)


def _refuse_code(path: Path, model: str) -> None:
    """Refuse files that only another program makes a model of."""
    if path.suffix == ".py" and path.is_file():
        raise ModelError(
            f"model: {model} is Python code: name the function in it that returns the model, such as "
            f"{model.removesuffix('.py')}:FUNCTION"
        )
    if path.suffix in _TORCH_FILES:
        raise ModelError(f"model: {model} is PyTorch's: export it with torch.onnx.export, and give that file")


def _require_saved_model(path: Path, model: str) -> None:
    """Refuse a folder that is no SavedModel, and say what it is if that is known."""
    if (path / "saved_model.pb").is_file():
        return
    if (path / "manifest.json").is_file():
        raise ModelError(
            f"model: {model} is a plan's folder: give {_whole_model(path)}, or `plan verify {model}`"
        )
    if (path / "compare.json").is_file():
        raise ModelError(f"model: {model} is a comparison's folder, whose stages hold models: give one")
    raise ModelError(f"model: {model} is a folder but no SavedModel: it holds no saved_model.pb")


def _whole_model(plan: Path) -> Path:
    """Return the whole model of a plan's folder, as `model` may name it."""
    names = ("model.onnx", "model.tflite", "model")
    return next((plan / name for name in names if (plan / name).exists()), plan / names[0])


_APPLIES_TO = {
    "weights": {SourceKind.APPLICATION, SourceKind.OBJECT},
    "arguments": {SourceKind.APPLICATION, SourceKind.OBJECT},
    "custom_objects": {SourceKind.KERAS},
    "signature": {SourceKind.SAVED_MODEL},
}


def _refuse_useless_options(source_kind: SourceKind, conversion: ConversionSpec, model: str) -> None:
    """Refuse options that would change nothing."""
    for name, kinds in _APPLIES_TO.items():
        if name in conversion.model_fields_set and source_kind not in kinds:
            fit = " and ".join(_SHOWN[k] for k in sorted(kinds))
            raise ModelError(f"conversion.{name}: does not apply to {model}; it is for {fit}")


_SHOWN = {
    SourceKind.APPLICATION: "keras:NAME",
    SourceKind.OBJECT: "module:function",
    SourceKind.KERAS: ".keras and .h5 files",
    SourceKind.SAVED_MODEL: "SavedModel folders",
}
