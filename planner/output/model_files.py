"""Models as files, whichever runtime they are for: written, and their inputs and outputs read back."""

from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from planner.errors import OutputError
from profiling.errors import ModelError
from profiling.graph.any_model import AnyModel, Stage
from profiling.onnx_io.external_weights import save
from profiling.runtime_names import LITERT, ONNX_RUNTIME, TENSORFLOW
from profiling.stage_session import SAVED_MODEL_SUFFIX, TFLITE_SUFFIX, naming_litert, runtime_of_model
from profiling.tensorflow_runtime.saved_model_graph import read_saved_model_stage

ONNX_SUFFIX = ".onnx"
_SUFFIXES = {
    ONNX_RUNTIME: ONNX_SUFFIX,
    LITERT: TFLITE_SUFFIX,
    TENSORFLOW: f"/saved_model{SAVED_MODEL_SUFFIX}",
}


def suffix_of(model: AnyModel) -> str:
    """Return how the name of a model's file ends; a SavedModel is a folder with one file."""
    return _SUFFIXES[runtime_of_model(model)]


def save_model(model: AnyModel, path: Path) -> Path | None:
    """Write a model; return the file of its weights where they lie beside it."""
    if isinstance(model, Stage):
        path.parent.mkdir(exist_ok=True)  # of a SavedModel
        path.write_bytes(model.content)
        return None
    return save(model, path)


def read_model(path: Path) -> AnyModel:
    """Return a model without the weights that lie beside it.

    Raises
    ------
    OutputError
        If the file is no model.
    """
    if path.suffix == SAVED_MODEL_SUFFIX:
        try:
            return read_saved_model_stage(path.read_bytes())
        except ModelError as exc:
            raise OutputError(f"{path}: {exc}") from exc
    if path.suffix == TFLITE_SUFFIX:
        with naming_litert():
            from profiling.litert.planning.stage_file import read_stage_file
        try:
            return read_stage_file(path)
        except ModelError as exc:
            raise OutputError(str(exc)) from exc
    try:
        return onnx.load(path, load_external_data=False)
    except (DecodeError, OSError, ValueError) as exc:
        raise OutputError(f"{path}: is not an ONNX model of tensors") from exc
