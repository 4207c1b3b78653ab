"""Brings a network of random weights to behave like a trained one, so that noise in it means something.

As keras.applications starts, a deep network answers the same to every picture, small differences between
pictures grow from layer to layer until an answer turns over, or all classes are nearly as probable, less
than a step of an int8 Softmax.
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from planner.conversion.request import SEED

_IMAGES, _SIDE = 4, 224
_MEAN, _DEVIATION, _COLOUR = 115.0, 65.0, 0.4  # of pixels; and how much channels differ
_DAMPED = 0.2  # scale of residual branches; Goyal et al., arXiv:1706.02677, start training at zero
_SPREAD = 2.0  # of logits over classes; pretrained MobileNets have 1.1 (V2) and 3.3 (V1, 0.25)
_TINY = np.finfo(np.float32).tiny


def calibrate_batchnorm(model: Any, preprocess: Callable[[Any], Any]) -> None:
    """Damp residual branches, let batch norm hold what pictures show, and let the classifier decide.

    Parameters
    ----------
    preprocess
        From pixels of 0 to 255 to what the network wants.
    """
    images = preprocess(random_images(*(side or _SIDE for side in model.input.shape[1:])))
    _damp_branches(model)
    _set_statistics(model, images)
    _let_decide(model, images)


def random_images(height: int, width: int, channels: int) -> Any:
    """Return random pictures, pixels of 0 to 255, whose spectrum falls as 1/f.

    That is what the spectra of natural pictures do (Field, J. Opt. Soc. Am. A 4, 1987).
    """
    rng = np.random.default_rng(SEED)
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None])[..., None]
    frequency[0, 0] = 1 / max(height, width)
    grey = rng.normal(size=(_IMAGES, height, width, 1))
    white = grey + _COLOUR * rng.normal(size=(_IMAGES, height, width, channels))
    waves = np.fft.ifft2(np.fft.fft2(white, axes=(1, 2)) / frequency, axes=(1, 2)).real
    return np.clip(_MEAN + _DEVIATION * waves / waves.std(), 0, 255).astype(np.float32)


def _damp_branches(model: Any) -> None:
    """Scale what each sum adds last, the branch and not its shortcut."""
    position = {id(layer): number for number, layer in enumerate(model.layers)}
    for layer in model.layers:
        if isinstance(layer, keras.layers.Add):
            ends = [_source(tensor) for tensor in layer.input]
            scaled = _scale_of(max(ends, key=lambda end: position.get(id(end), -1)))
            if scaled is not None:
                scaled.assign(scaled * _DAMPED)


def _source(tensor: Any) -> Any:
    """Return the layer that a tensor comes from, before dropout."""
    layer = tensor._keras_history.operation  # noqa: SLF001
    while isinstance(layer, keras.layers.Dropout):
        layer = layer.input._keras_history.operation  # noqa: SLF001
    return layer


def _scale_of(layer: Any) -> Any:
    """Return what a layer's output is in proportion to, if it has such weights."""
    return getattr(layer, "gamma", None) if _is_norm(layer) else getattr(layer, "kernel", None)


def _set_statistics(model: Any, images: Any) -> None:
    """Let every batch norm hold the mean and variance that pictures have there."""
    norms = [layer for layer in model.layers if _is_norm(layer)]
    momenta = [layer.momentum for layer in norms]
    for layer in norms:
        layer.momentum = 0.0
    if norms:
        _ask(model, images, training=True)
    for layer, momentum in zip(norms, momenta, strict=True):
        layer.momentum = momentum


def _let_decide(model: Any, images: Any) -> None:
    """Scale the classifier of a network that ends in a softmax, so that its logits spread over classes."""
    if getattr(model.layers[-1], "activation", None) is not keras.activations.softmax:
        return
    spread = float(np.log(np.maximum(_ask(model, images, training=False), _TINY)).std(axis=-1).mean())
    kernel = [layer.kernel for layer in model.layers if getattr(layer, "kernel", None) is not None][-1]
    if spread > 0:
        kernel.assign(kernel * (_SPREAD / spread))


def _ask(model: Any, images: Any, *, training: bool) -> Any:
    """Return a network's answer; as a graph, since Keras by itself keeps what all layers answer."""
    return tf.function(lambda x: model(x, training=training))(images).numpy()


def _is_norm(layer: Any) -> bool:
    return isinstance(layer, keras.layers.BatchNormalization)
