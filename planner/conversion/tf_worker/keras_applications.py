"""Networks of keras.applications by name, with weights that were given, downloaded or drawn at random."""

import sys
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import keras

from planner.conversion.request import SEED, ConversionRequest
from planner.conversion.tf_worker.exception_text import framework_error_line
from planner.conversion.tf_worker.keras_loader import load_weights
from planner.conversion.tf_worker.keras_tracing import layer_name
from planner.conversion.tf_worker.random_weights import calibrate_batchnorm
from planner.scenario.model_paths import IMAGENET
from profiling.errors import ModelError

_SIDE = 224  # of pictures of any size


def build_application(request: ConversionRequest) -> tuple[Any, tuple[str, ...]]:
    """Return a network of keras.applications, and what to know of its weights.

    Weights that are not given are random, with a fixed seed, and brought to behave like trained ones.

    Raises
    ------
    ModelError
        If there is no such network, it does not take the arguments, or the weights do not fit.
    """
    build = _builder(request.target)
    keras.utils.set_random_seed(SEED)
    weights = IMAGENET if request.weights == IMAGENET else None
    try:
        model = build(**{"weights": weights, **request.arguments})
    except Exception as exc:
        raise ModelError(_refusal(request, exc)) from exc
    if request.weights == IMAGENET:
        return model, ()
    if request.weights is not None:
        load_weights(model, Path(request.weights), request.shown)
        return model, ()
    calibrate_batchnorm(model, sys.modules[build.__module__].preprocess_input)
    return model, ("weights are random: speed and structure are real, answers are not",)


def default_shapes(model: Any) -> dict[str, tuple[int, ...]]:
    """Return the shape of a network's input where it takes pictures of any size."""
    batch, *sides = model.input.shape
    if batch is None and None in sides:
        return {layer_name(model.input): (1, *(side or _SIDE for side in sides))}
    return {}


def _builder(name: str) -> Callable[..., Any]:
    builders = {n: f for n, f in vars(keras.applications).items() if n[0].isupper() and callable(f)}
    if name in builders:
        return builders[name]  # type: ignore[no-any-return]
    by_lower_name = {n.lower(): n for n in builders}
    close = [
        f"keras:{by_lower_name[match]}"
        for match in get_close_matches(name.lower(), by_lower_name, cutoff=0.5)
    ]
    hint = f"did you mean {' or '.join(close)}?" if close else f"it has {', '.join(sorted(builders))}"
    raise ModelError(f"model: keras.applications has no {name}; {hint}")


def _refusal(request: ConversionRequest, exc: Exception) -> str:
    if request.weights == IMAGENET and "fetch" in str(exc):
        return (
            f"conversion.weights: the ImageNet weights of {request.target} cannot be downloaded here "
            f"({framework_error_line(exc)}); give a weights file, or leave weights out for random ones"
        )
    return (
        f"conversion.arguments: {request.shown} cannot be built with {request.arguments}: "
        f"{framework_error_line(exc)}"
    )
