"""Trained networks in Keras, made of ONNX models: plain convolutional ones."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import onnx
from onnx import numpy_helper
from trained_networks import NETWORKS


def in_keras(model: onnx.ModelProto) -> keras.Model:
    """Return an ONNX model of one input and one output as a Keras model, channels last.

    Raises
    ------
    KeyError
        For an operator that plain convolutional networks do not have.
    """
    constants = {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}
    (given,) = [end for end in model.graph.input if end.name not in constants]
    _, channels, *sides = (dim.dim_value for dim in given.type.tensor_type.shape.dim)
    inputs = keras.Input((*sides, channels), name="picture")
    tensors = {given.name: inputs}
    for node in model.graph.node:
        made = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        read = [constants[name] for name in node.input if name in constants]
        moving = [tensors[name] for name in node.input if name in tensors]
        tensors[node.output[0]] = _LAYERS[node.op_type](moving, read, made)
    return keras.Model(inputs, tensors[model.graph.output[0].name])


Made = Mapping[str, Any]
Constants = Sequence[np.ndarray]


def _convolution(moving: Sequence[Any], read: Constants, made: Made) -> Any:
    weights, *bias = read
    strides, group = tuple(made.get("strides", (1, 1))), made.get("group", 1)
    kernel, sides = weights.shape[2:], moving[0].shape[1:3]
    top, left, bottom, right = made.get("pads", (0, 0, 0, 0))
    totals = [
        max(0, (math.ceil(n / s) - 1) * s + k - n) for n, s, k in zip(sides, strides, kernel, strict=True)
    ]
    # TensorFlow pads the odd pixel behind.
    same = [(total // 2, total - total // 2) for total in totals] == [(top, bottom), (left, right)]
    x = moving[0]
    if not same and any((top, left, bottom, right)):
        x = keras.layers.ZeroPadding2D(((top, bottom), (left, right)))(x)
    options = {"strides": strides, "padding": "same" if same else "valid", "use_bias": bool(bias)}
    if group == 1:
        layer, order = keras.layers.Conv2D(weights.shape[0], kernel, **options), (2, 3, 1, 0)
    else:  # each channel alone
        layer, order = keras.layers.DepthwiseConv2D(kernel, **options), (2, 3, 0, 1)
    y = layer(x)
    layer.set_weights([weights.transpose(order), *bias])
    return y


def _sum(moving: Sequence[Any], read: Constants, _: Made) -> Any:
    if not read:
        return keras.layers.Add()(moving)
    return moving[0] + read[0].reshape(-1)  # of the channels, or of the classes


def _dense(moving: Sequence[Any], read: Constants, made: Made) -> Any:
    weights, *bias = read
    weights = weights.T if made.get("transB", 0) else weights
    layer = keras.layers.Dense(weights.shape[1], use_bias=bool(bias))
    y = layer(keras.layers.Flatten()(moving[0]))
    layer.set_weights([weights, *bias])
    return y


def _flat(moving: Sequence[Any], read: Constants, _: Made) -> Any:
    # All that is flattened is one pixel; other shapes are what the tensor has already.
    return moving[0] if read and len(read[0]) > 2 else keras.layers.Flatten()(moving[0])


def _thinned(moving: Sequence[Any], read: Constants, _: Made) -> Any:
    _, _, _, (rows, columns) = read
    return moving[0][:, ::rows, ::columns, :]


def _wider(moving: Sequence[Any], read: Constants, _: Made) -> Any:
    before, behind = read[0].reshape(2, 4)
    return keras.ops.pad(moving[0], [(int(before[at]), int(behind[at])) for at in (0, 2, 3, 1)])


def _pooled(moving: Sequence[Any], _: Constants, made: Made) -> Any:
    return keras.layers.AveragePooling2D(tuple(made["kernel_shape"]), tuple(made["strides"]))(moving[0])


_LAYERS: Mapping[str, Callable[[Sequence[Any], Constants, Made], Any]] = {
    "Add": _sum,
    "AveragePool": _pooled,
    "Clip": lambda moving, read, _: keras.layers.ReLU(float(read[1]))(moving[0]),
    "Conv": _convolution,
    "Flatten": _flat,
    "Gemm": _dense,
    "GlobalAveragePool": lambda moving, _, __: keras.layers.GlobalAveragePooling2D(keepdims=True)(moving[0]),
    "MatMul": _dense,
    "Pad": _wider,
    "Relu": lambda moving, _, __: keras.layers.ReLU()(moving[0]),
    "Reshape": _flat,
    "Slice": _thinned,
    "Softmax": lambda moving, _, __: keras.layers.Softmax()(moving[0]),
}


def _trained(name: str) -> keras.Model:
    return in_keras(onnx.load(NETWORKS[name].path))


def mobilenetv2() -> keras.Model:
    """Return MobileNetV2 as it was trained on ImageNet."""
    return _trained("MobileNetV2")


def resnet20() -> keras.Model:
    """Return the residual network of 20 layers as it was trained on CIFAR-10."""
    return _trained("ResNet20")


def ds_cnn() -> keras.Model:
    """Return the keyword spotter of MLPerf Tiny."""
    return _trained("DS-CNN")
