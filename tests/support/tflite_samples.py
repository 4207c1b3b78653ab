"""Converts small networks to `.tflite` in every way TensorFlow offers: python tflite_samples.py FOLDER."""

import os
import sys
from pathlib import Path

os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from keras_samples import SIDE, network, stir, two_ends

keras.utils.set_random_seed(0)  # errors of random weights vary


class Stateful(tf.Module):
    """Functions with a variable, with control flow, and with shapes that depend on numbers."""

    def __init__(self):
        self.total = tf.Variable(tf.ones([1, 4]))
        self.weights = tf.Variable(tf.constant(np.random.default_rng(2).normal(size=(4, 4)), tf.float32))

    @tf.function(input_signature=[tf.TensorSpec([1, 4], name="x")])
    def step(self, x):
        self.total.assign(self.total + x)
        return {"y": tf.nn.softmax(tf.matmul(self.total, self.weights))}

    @tf.function(input_signature=[tf.TensorSpec([1, 4], name="x")])
    def loop(self, x):
        turn = tf.constant(0)
        while turn < 3:
            x = tf.nn.relu(tf.matmul(x, self.weights))
            turn += 1
        if tf.reduce_sum(x) > 0.0:
            x = x * 2.0
        return {"y": tf.nn.softmax(x)}

    @tf.function(input_signature=[tf.TensorSpec([1, 4], name="x")])
    def several(self, x):
        positive = tf.nn.relu(x)
        return {
            "y": positive,
            "again": positive,
            "z": tf.nn.softmax(tf.matmul(positive, self.weights)),
            "fed": x,
        }


def samples():
    rng = np.random.default_rng(0)
    return ([rng.normal(size=(1, SIDE, SIDE, 3)).astype(np.float32)] for _ in range(8))


def main(folder):
    def save(name, converter, **settings):
        for key, value in settings.items():
            target, _, field = key.rpartition("__")
            setattr(getattr(converter, target) if target else converter, field or key, value)
        (folder / f"{name}.tflite").write_bytes(converter.convert())

    from_keras = tf.lite.TFLiteConverter.from_keras_model
    model, ops = stir(network(keras)), tf.lite.OpsSet
    small = {"optimizations": [tf.lite.Optimize.DEFAULT]}
    integer = {**small, "representative_dataset": samples}
    wide = [ops.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8]
    save("float", from_keras(model))
    save("dynamic", from_keras(model), **small)
    save("float16", from_keras(model), **small, target_spec__supported_types=[tf.float16])
    save("int8", from_keras(model), **integer)
    only = {"target_spec__supported_ops": [ops.TFLITE_BUILTINS_INT8]}
    save(
        "int8_only",
        from_keras(model),
        **integer,
        **only,
        inference_input_type=tf.uint8,
        inference_output_type=tf.uint8,
    )
    save("int16", from_keras(model), **integer, target_spec__supported_ops=wide)
    save("two_ends", from_keras(two_ends()))
    recurrent = keras.Sequential([keras.Input((5, 8), batch_size=1), layers.LSTM(6), layers.Dense(3)])
    save("lstm", from_keras(recurrent))
    tokens = layers.Input((6, 8))
    mixed = layers.LayerNormalization()(
        layers.Add()([tokens, layers.MultiHeadAttention(2, 4)(tokens, tokens)])
    )
    save("attention", from_keras(keras.Model(tokens, layers.Dense(3, activation="gelu")(mixed))))
    functions = Stateful()
    for name in ("step", "loop", "several"):
        concrete = getattr(functions, name).get_concrete_function()
        save(name, tf.lite.TFLiteConverter.from_concrete_functions([concrete], functions))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
