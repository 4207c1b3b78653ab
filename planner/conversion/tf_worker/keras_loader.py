"""Keras models and weights from files: .keras, .h5 and .weights.h5, of Keras 3 or of Keras 2."""

import json
import re
import zipfile
import zlib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import h5py
import keras

from planner.conversion.request import ConversionRequest
from planner.conversion.tf_worker.exception_text import framework_error_line
from planner.user_objects import import_object
from profiling.errors import ModelError

_UNKNOWN_CLASS = re.compile(
    r"(?:Could not locate (?:class|function)|Unknown (?:layer|object|\w+ function):?) '?\"?([\w>]+)"
)
_OTHER_SHAPE = re.compile(
    r"for object <\w+ name=([^,>]+).*?variable\.shape=(\(.*?\)), Received: value\.shape=(\(.*?\))", re.DOTALL
)
_LARGEST_UNPACKED, _MOST_PACKED = 2**26, 100  # bytes, and their ratio to those in the file
_BAD_ZIP = (zipfile.BadZipFile, zlib.error)
_OPTIMIZATION = "tensorflow_model_optimization"
_PRUNED = "PruneLowMagnitude"
_WRAPPERS = ("QuantizeWrapper", "QuantizeLayer", "QuantizeAnnotate", _PRUNED)


def load_keras(request: ConversionRequest) -> Any:
    """Return the model of a Keras file.

    Files of Keras 2 are read by tf_keras if that is installed; so are quantization-aware ones, which
    need tensorflow-model-optimization too.

    Raises
    ------
    ModelError
        If the file is damaged, holds no architecture, or needs classes that are not given.
    """
    path = Path(request.target)
    version, config = _read_config(path)
    custom = _custom_objects(request)
    legacy = version.startswith("2") and find_spec("tf_keras") is not None
    if any(name in config for name in _WRAPPERS):
        return _load_optimized(path, config, custom)
    try:
        if legacy:
            import tf_keras

            return tf_keras.models.load_model(path, custom_objects=custom, compile=False)
        return keras.models.load_model(path, custom_objects=custom, compile=False)
    except Exception as exc:
        raise ModelError(f"model: {_refusal(path, exc)}") from exc


def load_weights(model: Any, path: Path, shown: str) -> None:
    """Put a file's weights into a model.

    Raises
    ------
    ModelError
        If the file is damaged or its weights are not the model's.
    """
    if not path.is_file():
        raise ModelError(f"conversion.weights: {path} does not exist")
    try:
        model.load_weights(path)
    except Exception as exc:
        raise ModelError(f"conversion.weights: {path} does not fit {shown}: {_misfit(exc)}") from exc


def _misfit(exc: Exception) -> str:
    mismatch = _OTHER_SHAPE.search(str(exc))
    if mismatch is None:
        return framework_error_line(exc)
    return f"layer {mismatch[1]!r} has weights of {mismatch[2]}, the file {mismatch[3]}"


def _read_config(path: Path) -> tuple[str, str]:
    """Return the version of Keras that wrote a file, and the architecture in it as text."""
    if not path.is_file():
        raise ModelError(f"model: {path} does not exist")
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                _refuse_bombs(archive)
                metadata = json.loads(archive.read("metadata.json"))
                return str(metadata.get("keras_version", "")), archive.read("config.json").decode()
        if path.suffix == ".keras" and not h5py.is_hdf5(path):  # which Keras 2 may have written
            raise ModelError(f"model: {path} is damaged or no Keras file (no zip archive)")
        with h5py.File(path, "r") as file:
            if "model_config" not in file.attrs:
                raise ModelError(
                    f"model: {path} holds weights only; set model: keras:NAME or module:function for the "
                    "architecture, and conversion.weights to this file"
                )
            return str(file.attrs.get("keras_version", "")), str(file.attrs["model_config"])
    # A zip may be encrypted, or compressed in a way that is not known here; JSON may be no object.
    except (OSError, LookupError, ValueError, AttributeError, RuntimeError, *_BAD_ZIP) as exc:
        raise ModelError(f"model: {path} is damaged or no Keras file ({framework_error_line(exc)})") from exc


def _refuse_bombs(archive: zipfile.ZipFile) -> None:
    """Raise for files that are small and unpack to much; Keras stores weights as they are."""
    for info in archive.infolist():
        if info.file_size > _LARGEST_UNPACKED and info.file_size > _MOST_PACKED * info.compress_size:
            raise ValueError(f"{info.filename} says that it unpacks to {info.file_size >> 20} MiB")
    for name in ("metadata.json", "config.json"):
        if archive.getinfo(name).file_size > _LARGEST_UNPACKED:
            raise ValueError(f"{name} has more than {_LARGEST_UNPACKED >> 20} MiB")


def _load_optimized(path: Path, config: str, custom: dict[str, Any]) -> Any:
    """Load a model that tensorflow-model-optimization has changed; pruned ones without their masks."""
    missing = [name for name in ("tf_keras", _OPTIMIZATION) if find_spec(name) is None]
    if missing:
        package = missing[0].replace("_", "-")
        raise ModelError(
            f"model: {path} was made with tensorflow-model-optimization; "
            f"install {package} to read it: pip install 'splitquant[qat]'"
        )
    import tensorflow_model_optimization as optimization
    import tf_keras

    try:
        with (
            optimization.quantization.keras.quantize_scope(custom),
            optimization.sparsity.keras.prune_scope(),
        ):
            model = tf_keras.models.load_model(path, custom_objects=custom, compile=False)
    except Exception as exc:
        raise ModelError(f"model: {_refusal(path, exc)}") from exc
    return optimization.sparsity.keras.strip_pruning(model) if _PRUNED in config else model


def _custom_objects(request: ConversionRequest) -> dict[str, Any]:
    if request.custom_objects is None:
        return {}
    imported = import_object(request.custom_objects, "conversion.custom_objects")
    if isinstance(imported, dict):
        return imported
    custom_objects = imported if isinstance(imported, list | tuple) else [imported]
    if not all(hasattr(custom_object, "__name__") for custom_object in custom_objects):
        raise ModelError("conversion.custom_objects: must name a dict, a list of classes, or a class")
    return {custom_object.__name__: custom_object for custom_object in custom_objects}


def _refusal(path: Path, exc: Exception) -> str:
    text = str(exc)
    unknown_class = _UNKNOWN_CLASS.search(text)
    if unknown_class is not None:
        name = unknown_class[1].rpartition(">")[2]
        return (
            f"{path} uses {name}, which Keras does not know: name its code in the scenario as "
            f"conversion.custom_objects: module:{name}, or with --conversion custom_objects=module:{name} "
            "for plan init and plan inspect"
        )
    if "ambda" in text and "unsafe" in text:
        return (
            f"{path} holds a Lambda layer, Python code that is not run from a file: build the model in a "
            "function, load the weights there, and set model: module:function"
        )
    return f"{path} cannot be read: {framework_error_line(exc)}"
