"""What a scenario calls its model -> an ONNX file, or an order to convert what it is."""

from pathlib import Path

from planner.conversion.request import ConversionRequest, Kind
from planner.scenario.model_paths import APPLICATION, is_object
from planner.scenario.schema import ConversionSpec
from profiling.errors import ModelError

_KERAS_FILES = (".keras", ".h5", ".hdf5")
_WEIGHTS = ".weights.h5"


def conversion_request(
    model: str, how: ConversionSpec, input_shapes: dict[str, tuple[int, ...]]
) -> ConversionRequest | None:
    """Return the order to convert a located model, or None if it is an ONNX file.

    Raises
    ------
    ModelError
        If the model cannot be told from its name, or the options do not go with it.
    """
    kind, target = _kind(model)
    if kind is None:
        given = sorted(how.model_fields_set)
        if given:
            raise ModelError(f"conversion.{given[0]}: {model} is an ONNX file, which is not converted")
        return None
    _refuse_vain(kind, how, model)
    return ConversionRequest(
        kind=kind,
        target=target,
        opset=how.opset,
        weights=how.weights,
        arguments=dict(how.arguments),
        custom_objects=how.custom_objects,
        signature=how.signature,
        input_shapes=input_shapes,
    )


def _kind(model: str) -> tuple[Kind | None, str]:
    if model.startswith(APPLICATION):
        return Kind.APPLICATION, model.removeprefix(APPLICATION)
    path = Path(model)
    if model.endswith(_WEIGHTS):
        raise ModelError(
            f"model: {model} holds weights only; set model: keras:NAME or module:function for the "
            "architecture, and conversion.weights to this file"
        )
    if path.suffix in _KERAS_FILES:
        return Kind.KERAS, model
    if path.suffix == ".tflite":
        return Kind.TFLITE, model
    if path.is_dir():
        if not (path / "saved_model.pb").is_file():
            raise ModelError(f"model: {model} is a folder but no SavedModel: it holds no saved_model.pb")
        return Kind.SAVED_MODEL, model
    return (Kind.OBJECT, model) if is_object(model) else (None, model)


_FITS = {
    "weights": {Kind.APPLICATION, Kind.OBJECT},
    "arguments": {Kind.APPLICATION, Kind.OBJECT},
    "custom_objects": {Kind.KERAS},
    "signature": {Kind.SAVED_MODEL},
}


def _refuse_vain(kind: Kind, how: ConversionSpec, model: str) -> None:
    """Refuse options that would change nothing."""
    for name, kinds in _FITS.items():
        if name in how.model_fields_set and kind not in kinds:
            fit = " and ".join(_SHOWN[k] for k in sorted(kinds))
            raise ModelError(f"conversion.{name}: does not apply to {model}; it is for {fit}")


_SHOWN = {
    Kind.APPLICATION: "keras:NAME",
    Kind.OBJECT: "module:function",
    Kind.KERAS: ".keras and .h5 files",
    Kind.SAVED_MODEL: "SavedModel folders",
}
