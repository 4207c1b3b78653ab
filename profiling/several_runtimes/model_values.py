"""The tensors between a model's units on some samples, in either runtime."""

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import helper

from profiling.arrays import Array, Feeds
from profiling.graph.unit_graph import ModelGraph
from profiling.litert.cut import whole_stage
from profiling.litert.session import LitertSession
from profiling.litert.unit_graph import LitertGraph
from profiling.on_device.create_session import Optimization
from profiling.runtime.open_session import Runtime, open_session

_SPREADS = (1.0, 3.0)  # of random samples, in standard deviations of the real ones


def with_random_samples(samples: Sequence[Feeds]) -> list[Feeds]:
    """Return samples and random ones of their shapes: on these tensors differ that are alike on real ones."""
    rng = np.random.default_rng(0)
    added = [
        {name: _random(rng, [one[name] for one in samples], spread) for name in samples[0]}
        for spread in _SPREADS
    ]
    return [*samples, *added]


def _random(rng: np.random.Generator, values: Sequence[Array], spread: float) -> Array:
    joined, shape, dtype = np.concatenate([np.ravel(v) for v in values]), values[0].shape, values[0].dtype
    if dtype.kind == "f":
        mean, deviation = float(joined.mean()), float(joined.std()) or 1.0
        return rng.normal(mean, spread * deviation, shape).astype(dtype)
    if dtype.kind == "b":
        return rng.integers(0, 2, shape).astype(dtype)
    return rng.integers(int(joined.min()), int(joined.max()) + 1, shape).astype(dtype)


def onnx_values(graph: ModelGraph, samples: Sequence[Feeds]) -> dict[str, list[Array]]:
    """Return the float tensors between the units of an ONNX model, in running order."""
    names = [name for name in graph.boundary_tensors() if graph.tensors[name].is_float]
    tapped = onnx.ModelProto()
    tapped.CopyFrom(graph.model)
    given = {*graph.inputs, *(output.name for output in tapped.graph.output)}
    tapped.graph.output.extend(
        helper.make_tensor_value_info(name, graph.tensors[name].elem_type, None)
        for name in names
        if name not in given
    )
    session = open_session(tapped, Runtime(), Optimization.BASIC)
    outputs = [output.name for output in session.get_outputs()]
    runs = [dict(zip(outputs, session.run(outputs, dict(one)), strict=True)) for one in samples]
    return _collected(names, samples, runs)


def litert_values(graph: LitertGraph, samples: Sequence[Feeds]) -> dict[str, list[Array]]:
    """Return the float tensors between the units of a `.tflite` model, in running order."""
    names = [name for name in graph.boundary_tensors() if graph.tensors[name].is_float]
    numbers = {name: number for number, name in enumerate(graph.model.names)}
    stage = whole_stage(graph.model, [numbers[name] for name in names])
    session = LitertSession(stage.content, 1)
    runs = [dict(zip(stage.outputs, session.run(stage.outputs, one), strict=True)) for one in samples]
    return _collected(names, samples, runs)


def _collected(
    names: Sequence[str], samples: Sequence[Feeds], runs: Sequence[dict[str, Array]]
) -> dict[str, list[Array]]:
    pairs = list(zip(samples, runs, strict=True))
    return {name: [run[name] if name in run else feeds[name] for feeds, run in pairs] for name in names}
