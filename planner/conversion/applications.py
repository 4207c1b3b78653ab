"""Networks of keras.applications by name, with weights that were given, downloaded or drawn at random."""

import sys
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from planner.conversion.keras_files import load_weights
from planner.conversion.keras_trace import layer_name
from planner.conversion.order import IMAGENET, SEED, Order
from planner.conversion.wording import first_line
from profiling.errors import ModelError

_PICTURES, _SIDE = 4, 224
_COARSE = 8  # sides of the coloured patches that random pictures are made of
_TINY = np.finfo(np.float32).tiny
_SPREAD = 2.0  # of logits over classes; pretrained MobileNets have 1.1 (V2) and 3.3 (V1, 0.25)


def build_application(order: Order) -> tuple[Any, tuple[str, ...]]:
    """Return a network of keras.applications, and what to know of its weights.

    Weights that are not given are random, with a fixed seed. Their batch norm then counts what random
    pictures show: with the statistics that it starts with, a deep network answers the same to everything.
    And their classifier decides as trained ones do: as it starts, all classes are nearly as probable, less
    than a step of an int8 Softmax.

    Raises
    ------
    ModelError
        If there is no such network, it does not take the arguments, or the weights do not fit.
    """
    build = _builder(order.target)
    keras.utils.set_random_seed(SEED)
    weights = IMAGENET if order.weights == IMAGENET else None
    try:
        model = build(**{"weights": weights, **order.arguments})
    except Exception as exc:
        raise ModelError(_refusal(order, exc)) from exc
    if order.weights == IMAGENET:
        return model, ()
    if order.weights is not None:
        load_weights(model, Path(order.weights), order.shown)
        return model, ()
    pictures = _pictures(model, sys.modules[build.__module__])
    _set_statistics(model, pictures)
    _let_decide(model, pictures)
    return model, ("weights are random: speed and structure are real, answers are not",)


def default_shapes(model: Any) -> dict[str, tuple[int, ...]]:
    """Return the shape of a network's input where it takes pictures of any size."""
    batch, *sides = model.input.shape
    if batch is None and None in sides:
        return {layer_name(model.input): (1, *(side or _SIDE for side in sides))}
    return {}


def _builder(name: str) -> Callable[..., Any]:
    known = {n: f for n, f in vars(keras.applications).items() if n[0].isupper() and callable(f)}
    if name in known:
        return known[name]  # type: ignore[no-any-return]
    lower = {n.lower(): n for n in known}
    close = [f"keras:{lower[each]}" for each in get_close_matches(name.lower(), lower, cutoff=0.5)]
    hint = f"did you mean {' or '.join(close)}?" if close else f"it has {', '.join(sorted(known))}"
    raise ModelError(f"model: keras.applications has no {name}; {hint}")


def _refusal(order: Order, exc: Exception) -> str:
    if order.weights == IMAGENET and "fetch" in str(exc):
        return (
            f"conversion.weights: the ImageNet weights of {order.target} cannot be downloaded here "
            f"({first_line(exc)}); give a weights file, or leave weights out for random ones"
        )
    return f"conversion.arguments: {order.shown} cannot be built with {order.arguments}: {first_line(exc)}"


def _set_statistics(model: Any, pictures: Any) -> None:
    """Let every batch norm hold the mean and variance that pictures have there."""
    norms = [layer for layer in _all_layers(model) if isinstance(layer, keras.layers.BatchNormalization)]
    momenta = [layer.momentum for layer in norms]
    for layer in norms:
        layer.momentum = 0.0
    if norms:
        model(pictures, training=True)
    for layer, momentum in zip(norms, momenta, strict=True):
        layer.momentum = momentum


def _let_decide(model: Any, pictures: Any) -> None:
    """Scale the classifier of a network that ends in a softmax, so that its logits spread over classes."""
    if getattr(model.layers[-1], "activation", None) is not keras.activations.softmax:
        return
    spread = float(np.log(np.maximum(model(pictures).numpy(), _TINY)).std(axis=-1).mean())
    kernel = [layer.kernel for layer in _all_layers(model) if getattr(layer, "kernel", None) is not None][-1]
    if spread > 0:
        kernel.assign(kernel * (_SPREAD / spread))


def _all_layers(model: Any) -> list[Any]:
    return list(model._flatten_layers(include_self=False, recursive=True))  # noqa: SLF001


def _pictures(model: Any, family: Any) -> Any:
    """Return random pictures as the network's family wants them."""
    height, width, channels = (side or _SIDE for side in model.input.shape[1:])
    rng = np.random.default_rng(SEED)
    patches = rng.uniform(0, 255, (_PICTURES, _COARSE, _COARSE, channels)).astype(np.float32)
    pixels = tf.image.resize(patches, (height, width), "bicubic").numpy()
    pixels = np.clip(pixels + rng.normal(0, 16, pixels.shape), 0, 255).astype(np.float32)
    return family.preprocess_input(pixels)
