"""A Keras model -> a function whose operations are named by the layers that they belong to."""

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import tensorflow as tf

from planner.conversion.tf_worker.traced_function import Traced, apart_from, check_shapes, scope, static_spec
from profiling.errors import ModelError


def trace_keras(model: Any, shapes: Mapping[str, Sequence[int]], notes: Sequence[str] = ()) -> Traced:
    """Return a Keras 3 or tf_keras model as a function.

    Its ends have the names of the model's own dictionaries, else those of its layers.

    Raises
    ------
    ModelError
        If the model does not say what its inputs are.
    """
    inputs, input_names = _ends(model, "input")
    check_shapes(input_names, shapes)
    specs = [
        static_spec(tf.TensorSpec(x.shape, x.dtype), name, shapes)
        for x, name in zip(tf.nest.flatten(inputs), input_names, strict=True)
    ]
    output_names = apart_from(input_names, _ends(model, "output")[1])
    layers = dict(_layers(model, ""))
    for layer in (model, *layers.values()):
        _make_scope(layer)
    for path, layer in layers.items():
        layer.call = _scoped(layer.call, path)

    def function(*flat: Any) -> list[Any]:
        answer = model(tf.nest.pack_sequence_as(inputs, flat), training=False)
        return [tf.identity(x) for x in tf.nest.flatten(answer)]

    concrete = tf.function(function, input_signature=specs).get_concrete_function()
    if len(output_names) != len(concrete.outputs):
        raise ModelError(f"answers with {len(concrete.outputs)} tensors but names {len(output_names)}")
    return Traced(concrete, model, input_names, output_names, frozenset(layers), tuple(notes))


def _make_scope(layer: Any) -> None:
    """Give a layer a name that TensorFlow takes for a scope, where it has another; Keras opens one of it."""
    plain = scope(layer.name)
    if plain != layer.name:
        setattr(layer, "_name" if isinstance(getattr(type(layer), "name", None), property) else "name", plain)


def _ends(model: Any, side: str) -> tuple[Any, tuple[str, ...]]:
    """Return the structure of symbolic tensors at one side of a model, and a name for each of them."""
    structure = _structure(model, side)
    if structure is None:
        raise ModelError(
            f"model: {model.name} does not say what its {side}s are: build it from keras.Input, or wrap it "
            "in keras.Model(inputs, outputs) before it is saved"
        )
    tensors = tf.nest.flatten(structure)
    flat = isinstance(structure, Mapping) and len(structure) == len(tensors)
    names = sorted(structure) if flat else [layer_name(tensor) for tensor in tensors]
    return structure, tuple(_distinct(names))


def _structure(model: Any, side: str) -> Any:
    """Return a model's `input` or `output`; a Sequential of Keras 3 only has lists of one."""
    try:
        return getattr(model, side)
    except (AttributeError, ValueError):
        pass
    try:
        (only,) = getattr(model, f"{side}s") or [None]
    except (AttributeError, ValueError):
        return None
    return only


def layer_name(tensor: Any) -> str:
    """Return the name of the layer that writes a symbolic tensor."""
    history = tensor._keras_history  # noqa: SLF001  the only way from a tensor to its layer
    return str(history[0].name)


def _distinct(names: Sequence[str]) -> Iterator[str]:
    uses: dict[str, int] = {}
    for name in names:
        count = uses[name] = uses.get(name, -1) + 1
        yield f"{name}_{count}" if count else name


def _layers(model: Any, above: str) -> Iterator[tuple[str, Any]]:
    """Yield (path, layer) of every layer inside, a nested one behind the model that holds it."""
    for layer in model._flatten_layers(include_self=False, recursive=False):  # noqa: SLF001  also of wrappers
        path = f"{above}{scope(layer.name)}"
        yield path, layer
        yield from _layers(layer, f"{path}/")


def _scoped(call: Callable[..., Any], path: str) -> Callable[..., Any]:
    """Return a layer's `call` that names its operations by the layer's path, whoever calls it.

    A scope that ends with a slash is taken as it stands, not made unique.
    """

    @functools.wraps(call)
    def scoped(*args: Any, **kwargs: Any) -> Any:
        with tf.name_scope(f"{path}/"):
            return call(*args, **kwargs)

    scoped.__signature__ = inspect.signature(call)  # type: ignore[attr-defined]
    return scoped
