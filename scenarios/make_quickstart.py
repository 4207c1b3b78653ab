"""Trains the quickstart network on scikit-learn's digits and writes its ONNX file and data.

Run from the repository, with the extras [tensorflow,test] installed:

    python scenarios/make_quickstart.py
"""

from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
import tf2onnx
from sklearn.datasets import load_digits

_FOLDER = Path(__file__).parent / "quickstart"
_SIDE, _DIGIT = 64, 40
_TRAIN, _CALIBRATION = 1297, 120  # the rest evaluates


def pictures(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return digits enlarged and put somewhere into 64 x 64 grey pictures, and their classes."""
    small, labels = load_digits(return_X_y=True)
    large = np.kron(small.reshape(-1, 8, 8), np.ones((1, _DIGIT // 8, _DIGIT // 8)))
    canvas = np.zeros((len(large), _SIDE, _SIDE, 1), dtype=np.uint8)
    for picture, digit in zip(canvas, large, strict=True):
        top, left = rng.integers(0, _SIDE - _DIGIT + 1, size=2)
        contrast = rng.uniform(0.5, 1.0)
        picture[top : top + _DIGIT, left : left + _DIGIT, 0] = digit * (255 / 16) * contrast
    return canvas, labels.astype(np.int64)


def network() -> keras.Model:
    """Return a small residual network for 64 x 64 x 1 pictures in 0..1."""

    def convolve(x: object, filters: int, stride: int = 1) -> object:
        x = keras.layers.Conv2D(filters, 3, stride, padding="same", use_bias=False)(x)
        return keras.layers.BatchNormalization()(x)

    inputs = x = keras.Input((_SIDE, _SIDE, 1), name="picture")
    for filters in (16, 24, 32, 48):
        x = keras.layers.ReLU()(convolve(x, filters, stride=2))
        branch = keras.layers.ReLU()(convolve(x, filters))
        x = keras.layers.ReLU()(keras.layers.Add()([x, convolve(branch, filters)]))
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(10, name="logits")(x))


def shuffled_pictures() -> tuple[np.ndarray, np.ndarray]:
    """Return pictures and classes in the order in which they are used."""
    x, y = pictures(np.random.default_rng(0))
    order = np.random.default_rng(1).permutation(len(x))
    return x[order], y[order]


def trained_network() -> keras.Model:
    """Return the network, trained."""
    keras.utils.set_random_seed(0)
    x, y = shuffled_pictures()
    model = network()
    model.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(3e-3, 30 * 21)),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    model.fit(x[:_TRAIN] / 255.0, y[:_TRAIN], batch_size=64, epochs=30, verbose=2)
    print("held-out accuracy", model.evaluate(x[_TRAIN:] / 255.0, y[_TRAIN:], verbose=0)[1])
    return model


def main() -> None:
    """Train, convert and write everything."""
    model = trained_network()
    x, y = shuffled_pictures()
    _FOLDER.mkdir(exist_ok=True)
    signature = [tf.TensorSpec((None, _SIDE, _SIDE, 1), tf.float32, name="picture")]
    tf2onnx.convert.from_keras(
        model,
        signature,
        opset=17,
        inputs_as_nchw=["picture"],
        output_path=str(_FOLDER / "digits.onnx"),
    )
    ends = {
        "calibration": slice(_TRAIN, _TRAIN + _CALIBRATION),
        "evaluation": slice(_TRAIN + _CALIBRATION, None),
    }
    for name, part in ends.items():
        np.savez_compressed(_FOLDER / f"{name}.npz", picture=x[part], label=y[part])


if __name__ == "__main__":
    main()
