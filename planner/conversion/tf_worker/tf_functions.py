"""TensorFlow functions -> functions of static shapes: signatures of SavedModels, tf.function and the like."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from planner.conversion.request import SEED, ConversionRequest
from planner.conversion.tf_worker.exception_text import framework_error_line
from planner.conversion.tf_worker.keras_loader import load_weights
from planner.conversion.tf_worker.keras_tracing import trace_keras
from planner.conversion.tf_worker.traced_function import Traced, apart_from, check_shapes, static_spec
from planner.user_objects import import_object
from profiling.errors import ModelError

_DEFAULT = "serving_default"


def trace_saved_model(request: ConversionRequest) -> Traced:
    """Return a signature of a SavedModel folder: the one asked for, the default one, or the only one.

    Raises
    ------
    ModelError
        If the folder is damaged, or has no such signature.
    """
    path = Path(request.target)
    try:
        loaded = tf.saved_model.load(str(path))
    except Exception as exc:
        raise ModelError(f"model: {path} is damaged or no SavedModel ({framework_error_line(exc)})") from exc
    signatures = dict(loaded.signatures)
    if not signatures:
        raise ModelError(
            f"model: {path} has no signatures: save it with tf.saved_model.save(model, folder, "
            "signatures=FUNCTION), or model.export(folder)"
        )
    return _trace(signatures[_signature(request, list(signatures))], loaded, request.input_shapes)


def trace_object(request: ConversionRequest) -> Traced:
    """Return what module:name is, or what it returns when called: a Keras model or a TensorFlow function.

    Raises
    ------
    ModelError
        If it fails, or is neither.
    """
    imported = import_object(request.target, "model")
    keras.utils.set_random_seed(SEED)  # so that random weights are the same each time
    if not (_is_keras(imported) or _is_function(imported)) and callable(imported):
        try:
            imported = imported(**request.arguments)
        except BaseException as exc:
            raise ModelError(
                f"model: {request.shown} failed: {type(exc).__name__}: {framework_error_line(exc)}"
            ) from exc
    elif request.arguments:
        raise ModelError(f"conversion.arguments: {request.shown} is a model already, it takes none")
    if _is_keras(imported):
        if request.weights is not None:
            load_weights(imported, Path(request.weights), request.shown)
        return trace_keras(imported, request.input_shapes)
    if request.weights is not None:
        raise ModelError(f"conversion.weights: {request.shown} is no Keras model that could load them")
    return _trace(_concrete(imported, request.shown), imported, request.input_shapes)


def _is_keras(value: object) -> bool:
    if isinstance(value, keras.Model):
        return True
    return any(base.__module__.startswith("tf_keras") for base in type(value).__mro__)


def _is_function(value: object) -> bool:
    kinds = tf.types.experimental
    return isinstance(value, kinds.ConcreteFunction | kinds.PolymorphicFunction)


def _concrete(value: Any, shown: str) -> Any:
    function = value.__call__ if isinstance(value, tf.Module) and callable(value) else value
    if isinstance(function, tf.types.experimental.ConcreteFunction):
        return function
    if not _is_function(function):
        raise ModelError(
            f"model: {shown} gives {type(value).__name__}; it must give a Keras model, a tf.function with "
            "input_signature, or a concrete function"
        )
    try:
        return function.get_concrete_function()
    except Exception as exc:
        raise ModelError(
            f"model: {shown} is a tf.function without input_signature: "
            "add @tf.function(input_signature=[tf.TensorSpec(...)])"
        ) from exc


def _signature(request: ConversionRequest, available: Sequence[str]) -> str:
    signature = request.signature or (
        _DEFAULT if _DEFAULT in available or len(available) > 1 else available[0]
    )
    if signature in available:
        return signature
    close = get_close_matches(signature, available, n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    listed = f"{request.target} has {', '.join(sorted(available))}"
    if request.signature is None:
        raise ModelError(f"conversion.signature: choose one, {listed}")
    raise ModelError(f"conversion.signature: no {signature!r}, {listed}{hint}")


def _trace(concrete: Any, owner: Any, shapes: Mapping[str, Sequence[int]]) -> Traced:
    """Return a concrete function with static shapes; its arguments and answers keep their names."""
    structure = concrete.structured_input_signature
    places = [x for x in tf.nest.flatten(structure) if isinstance(x, tf.TensorSpec)]
    names = tuple(spec.name or f"input_{i}" for i, spec in enumerate(places))
    check_shapes(names, shapes)
    specs = [static_spec(spec, name, shapes) for spec, name in zip(places, names, strict=True)]

    def function(*flat: Any) -> list[Any]:
        arguments = iter(flat)
        filled = [next(arguments) if isinstance(x, tf.TensorSpec) else x for x in tf.nest.flatten(structure)]
        args, kwargs = tf.nest.pack_sequence_as(structure, filled)
        return [tf.identity(x) for x in tf.nest.flatten(concrete(*args, **kwargs))]

    answers = concrete.structured_outputs
    if isinstance(answers, Mapping):
        outputs = tuple(sorted(answers))
    else:
        outputs = tuple(f"output_{i}" for i in range(len(tf.nest.flatten(answers))))
    traced = tf.function(function, input_signature=specs).get_concrete_function()
    return Traced(traced, owner, names, apart_from(names, outputs))
