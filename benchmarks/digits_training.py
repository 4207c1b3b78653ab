"""Trains a small network on digits, as it is, quantization-aware, and pruned, into a folder."""

import os
import sys
from pathlib import Path

os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}

import numpy as np
import tensorflow_model_optimization as optimization
import tf_keras
from sklearn.datasets import load_digits
from tf_keras import layers

TRAINED, CALIBRATED = 1400, 400


def network() -> tf_keras.Model:
    image = tf_keras.Input((8, 8, 1), name="image")
    flow = layers.Conv2D(16, 3, padding="same", use_bias=False, name="conv1")(image)
    flow = first = layers.ReLU(name="relu1")(layers.BatchNormalization(name="bn1")(flow))
    flow = layers.DepthwiseConv2D(3, padding="same", use_bias=False, name="conv2")(flow)
    flow = layers.ReLU(6.0, name="relu2")(layers.BatchNormalization(name="bn2")(flow))
    flow = layers.Add(name="add")([layers.Conv2D(16, 1, name="conv3")(flow), first])
    flow = layers.MaxPooling2D(name="pool")(layers.ReLU(name="relu3")(flow))
    flow = layers.Conv2D(32, 3, activation="relu", name="conv4")(flow)
    flow = layers.GlobalAveragePooling2D(name="mean")(flow)
    return tf_keras.Model(image, layers.Dense(10, activation="softmax", name="digit")(flow))


def main() -> None:
    folder = Path(sys.argv[1])
    tf_keras.utils.set_random_seed(0)
    digits = load_digits()
    pictures, labels = (digits.images / 16).astype(np.float32)[..., None], digits.target
    parts = {"calibration": slice(0, CALIBRATED), "evaluation": slice(TRAINED, None)}
    for name, part in parts.items():
        np.savez(folder / f"{name}.npz", image=pictures[part], label=labels[part])

    def train(model: tf_keras.Model, epochs: int, *callbacks: tf_keras.callbacks.Callback) -> None:
        model.compile("adam", "sparse_categorical_crossentropy")
        model.fit(pictures[:TRAINED], labels[:TRAINED], epochs=epochs, verbose=0, callbacks=list(callbacks))

    model = network()
    train(model, 30)
    model.save(folder / "float.h5", include_optimizer=False)
    aware = optimization.quantization.keras.quantize_model(model)
    train(aware, 15)
    aware.save(folder / "quantization-aware.h5", include_optimizer=False)
    sparsity = optimization.sparsity.keras
    pruned = sparsity.prune_low_magnitude(model, sparsity.ConstantSparsity(0.7, 0, -1, 10))
    train(pruned, 15, sparsity.UpdatePruningStep())
    pruned.save(folder / "pruned.h5", include_optimizer=False)


if __name__ == "__main__":
    main()
