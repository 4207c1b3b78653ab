"""Writes tiny SavedModels, one of which has inputs of given names: saved_models.py FOLDER NAME ..."""

import sys
from collections.abc import Sequence
from pathlib import Path

import tensorflow as tf

from profiling.tensorflow_runtime.in_process.graph_files import GraphEnd, saved_model_bytes


def doubling(names: Sequence[str]) -> bytes:
    """Return a model with an output for each input, in the reverse order; every input has another shape."""
    with tf.Graph().as_default() as graph:
        fed = [tf.compat.v1.placeholder(tf.float32, [1, i + 1], f"in{i}") for i in range(len(names))]
        given = [tf.multiply(tensor, 2.0, f"out{i}") for i, tensor in enumerate(fed)]
    inputs = [GraphEnd(name, tensor.name) for name, tensor in zip(names, fed, strict=True)]
    outputs = [GraphEnd(f"{name}!", tensor.name) for name, tensor in zip(names, given, strict=True)]
    return saved_model_bytes(graph.as_graph_def(), inputs, outputs[::-1])


def splitting() -> bytes:
    """Return a model of operators with several outputs, one of which waits for another operator."""
    with tf.Graph().as_default() as graph:
        fed = tf.compat.v1.placeholder(tf.float32, [1, 6], "fed")
        first, second, third = tf.split(tf.nn.relu(fed), 3, axis=1, name="parted")
        early = tf.multiply(first, 2.0, "early")
        left, right = tf.split(early, 2, axis=1, name="halved")
        with tf.control_dependencies([early]):
            late = tf.add(second, left, "late")
        given = tf.concat([right, late, third], 1, "given")
    return saved_model_bytes(
        graph.as_graph_def(), [GraphEnd("fed", fed.name)], [GraphEnd("given", given.name)]
    )


if __name__ == "__main__":
    folder, *ends = sys.argv[1:]
    (Path(folder) / "doubled.pb").write_bytes(doubling(ends))
    (Path(folder) / "parted.pb").write_bytes(splitting())
