"""Writes small models of every kind that Keras and TensorFlow save: python keras_samples.py FOLDER."""

import os
import sys
from pathlib import Path

os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}

import keras
import numpy as np
import tensorflow as tf
from keras import layers

SIDE, CLASSES = 16, 5


def network(factory, side=SIDE, classes=CLASSES):
    """Return a small network, of keras or tf_keras."""
    own = factory.layers
    image = factory.Input((side, side, 3), name="image")
    flow = own.Conv2D(8, 3, strides=2, padding="same", use_bias=False, name="stem")(image)
    flow = stem = own.ReLU(name="stem_relu")(own.BatchNormalization(name="stem_bn")(flow))
    flow = own.DepthwiseConv2D(3, padding="same", use_bias=False, name="depthwise")(flow)
    flow = own.ReLU(6.0, name="depthwise_relu")(own.BatchNormalization(name="depthwise_bn")(flow))
    flow = own.Conv2D(8, 1, name="project")(flow)
    flow = own.ReLU(name="joined_relu")(own.Add(name="joined")([flow, stem]))
    flow = own.GlobalAveragePooling2D(name="pool")(flow)
    return factory.Model(image, own.Dense(classes, activation="softmax", name="scores")(flow))


def stir(model):
    """Give every weight a value of its own, so that no part of the network answers with nothing."""
    rng = np.random.default_rng(1)
    values = []
    for value in model.get_weights():
        noise = rng.normal(size=value.shape) * 0.3
        values.append(np.abs(noise) + 0.3 if "variance" in str(value) or value.ndim == 1 else noise)
    model.set_weights([value.astype(np.float32) for value in values])
    return model


def two_ends():
    """Return a network with a dictionary of inputs, a nested model called twice, and two outputs."""
    image, meta = layers.Input((8, 8, 3), name="image"), layers.Input((4,), name="meta")
    inside = [layers.Input((8, 8, 3)), layers.Conv2D(4, 3, name="conv"), layers.ReLU(name="relu")]
    encoder = keras.Sequential(inside, name="encoder")
    pool = layers.GlobalAveragePooling2D(name="pool")
    flow = layers.Concatenate(name="both")([pool(encoder(image)), pool(encoder(image[:, ::-1])), meta])
    logits = layers.Dense(3, name="logits")(flow)
    return keras.Model(
        {"image": image, "meta": meta}, {"logits": logits, "chances": layers.Softmax(name="soft")(logits)}
    )


def stack():
    """Return a network that is a mere sequence."""
    convolved = [layers.Conv2D(4, 3, name="conv"), layers.ReLU(name="relu")]
    scored = [layers.GlobalAveragePooling2D(name="pool"), layers.Dense(3, name="scores")]
    return stir(keras.Sequential([keras.Input((8, 8, 3), name="image"), *convolved, *scored]))


def operators():
    """Return a network with an output for each operator that tf2onnx by itself lacks or gets wrong."""
    ops = keras.ops
    image, row = layers.Input((12, 12, 4), name="image"), layers.Input((10, 16), name="row")
    volume = layers.Reshape((6, 6, 4, 4))(image)
    key = layers.Input((5,), dtype="int64", name="key")
    outputs = {
        "gelu": layers.Conv2D(4, 3, activation="gelu")(image),
        "celu": layers.Activation("celu")(row),
        "log1p": ops.log1p(ops.abs(row)),
        "groups": layers.Conv2D(8, 3, groups=4, strides=2, padding="same")(image),
        "groups_1d": layers.Conv1D(8, 3, groups=2)(row),
        "groups_3d": layers.Conv3D(4, 2, groups=2)(volume),
        "attention": layers.MultiHeadAttention(2, 8)(row, row),
        "slopes": layers.PReLU()(row),
        "area": layers.Resizing(7, 5, interpolation="area")(image),
        "lanczos": layers.Resizing(17, 5, interpolation="lanczos3")(image),
        "cubic": layers.Resizing(7, 20, interpolation="bicubic")(image),
        "place": ops.argmax(row, axis=-1),
        "sign": ops.cast(ops.signbit(row * 0.0), "int32"),
        "bins": layers.Discretization(bin_boundaries=[-1.0, 0.0, 0.5])(row),
        "rank": ops.searchsorted(ops.convert_to_tensor([-1.0, 0.0, 1.0]), row[0, 0]),
        "waves": layers.MelSpectrogram(num_mel_bins=8, fft_length=64)(layers.Flatten()(image)),
        "index": layers.IntegerLookup(vocabulary=[1, 5, 7])(key),
        "updated": ops.slice_update(row, (0, 1, 15), row[:, :2, :2]),
        "crossed": ops.cross(row[..., :3], row[..., 3:6]),
        "product": ops.inner(row, row),
    }
    return stir(keras.Model([image, row, key], outputs))


class Scale(layers.Layer):
    """A layer that Keras does not know."""

    def build(self, shape):
        self.factor = self.add_weight(shape=(shape[-1],), initializer="ones")

    def call(self, x):
        return x * self.factor


class Served(tf.Module):
    """A module with functions of its own."""

    def __init__(self):
        super().__init__()
        self.weight = tf.Variable(np.random.default_rng(0).normal(size=(6, 2)).astype(np.float32))

    @tf.function(input_signature=[tf.TensorSpec([None, 6], tf.float32, name="features")])
    def score(self, features):
        return {"score": tf.nn.softmax(features @ self.weight)}

    @tf.function(input_signature=[tf.TensorSpec([None, 6], tf.float32, name="features")])
    def margin(self, features):
        return {"margin": tf.nn.relu(features @ self.weight)}


def write(folder):
    small = stir(network(keras))
    small.save(folder / "small.keras")
    small.save(folder / "small.h5")
    small.save_weights(folder / "small.weights.h5")
    small.export(folder / "saved", verbose=False)
    stir(two_ends()).save(folder / "two_ends.keras")
    network(keras, classes=7).save_weights(folder / "seven.weights.h5")
    row = keras.Input((6,), name="größe: 1")
    keras.Model(row, {"größe: 1": layers.Dense(3, name="la:yer 1")(row)}).save(folder / "named.keras")
    operators().save(folder / "operators.keras")
    sequence = stack()
    sequence.save(folder / "stack.keras")
    sequence.save(folder / "stack.h5")
    stir(network(keras, None)).save(folder / "any_size.keras")
    image = keras.Input((8, 8, 3))
    keras.Model(image, layers.ReLU()(Scale(name="mine")(image))).save(folder / "custom.keras")
    keras.Model(image, layers.Lambda(lambda x: x + 1)(image)).save(folder / "lambda.keras")
    served = Served()
    tf.saved_model.save(served, str(folder / "served"), {"score": served.score, "margin": served.margin})
    tf.saved_model.save(served, str(folder / "unsigned"), None)
    converter = tf.lite.TFLiteConverter.from_keras_model(small)
    (folder / "small.tflite").write_bytes(converter.convert())
    write_tflite(small, folder)


@tf.function(input_signature=[tf.TensorSpec([1, 4], tf.float32, name="row")])
def custom(row):
    """Use an operator that TFLite lacks."""
    return tf.raw_ops.Betainc(a=row, b=row, x=row)


def write_tflite(model, folder):
    """Write TFLite files with 16-bit activations, sparse weights, and a custom operator."""
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    rng = np.random.default_rng(0)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: (
        [rng.normal(size=(1, SIDE, SIDE, 3)).astype(np.float32)] for _ in range(8)
    )
    wide = tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
    converter.target_spec.supported_ops = [wide]
    (folder / "wide.tflite").write_bytes(converter.convert())
    sparse = keras.models.clone_model(model)
    sparse.set_weights([np.where(rng.uniform(size=w.shape) < 0.8, 0, w) for w in model.get_weights()])
    converter = tf.lite.TFLiteConverter.from_keras_model(sparse)
    converter.optimizations = [tf.lite.Optimize.EXPERIMENTAL_SPARSITY]
    (folder / "sparse.tflite").write_bytes(converter.convert())
    converter = tf.lite.TFLiteConverter.from_concrete_functions([custom.get_concrete_function()])
    converter.allow_custom_ops = True
    (folder / "custom.tflite").write_bytes(converter.convert())


def write_optimized(folder):
    """Write a quantization-aware and a pruned model."""
    import tensorflow_model_optimization as optimization
    import tf_keras

    rng = np.random.default_rng(0)
    pictures = rng.uniform(0, 1, (256, SIDE, SIDE, 3)).astype(np.float32)
    labels = rng.integers(0, CLASSES, 256)
    aware = optimization.quantization.keras.quantize_model(network(tf_keras))
    aware.compile("adam", "sparse_categorical_crossentropy")
    aware.fit(pictures, labels, epochs=3, verbose=0)
    aware.save(folder / "aware.h5", include_optimizer=False)
    pruning = optimization.sparsity.keras
    pruned = pruning.prune_low_magnitude(network(tf_keras), pruning.ConstantSparsity(0.8, 0, -1, 1))
    pruned.compile("adam", "sparse_categorical_crossentropy")
    pruned.fit(pictures, labels, epochs=2, verbose=0, callbacks=[pruning.UpdatePruningStep()])
    pruned.save(folder / "pruned.h5", include_optimizer=False)


if __name__ == "__main__":
    target = Path(sys.argv[2])
    {"plain": write, "optimized": write_optimized}[sys.argv[1]](target)
