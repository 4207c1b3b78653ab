"""Dynamic dimensions: given for inputs, found by running for everything else."""

import copy
import logging
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from profiling.arrays import Array, Feeds
from profiling.errors import ModelError
from profiling.litert.element_types import ElementType
from profiling.litert.interpreter import tensor_values
from profiling.litert.load import LitertModel
from profiling.litert.not_run import why_not_run
from profiling.litert.table_access import listed

_DYNAMIC = -1
_LOWEST = (0.0, -1.0, -1.0)  # of the numbers of each run

log = logging.getLogger(__name__)


def with_shapes(model: LitertModel, input_shapes: Mapping[str, tuple[int, ...]]) -> LitertModel:
    """Return a model whose tensors all have the shapes that they have when it runs.

    A dynamic batch, the first dimension, is 1 unless given.

    Parameters
    ----------
    input_shapes
        Input name -> whole shape.

    Raises
    ------
    ModelError
        If another dimension of an input is dynamic and not given, or a shape does not fit.
    """
    if unknown := input_shapes.keys() - model.inputs.keys():
        known = ", ".join(map(repr, model.inputs))
        raise ModelError(f"{model.shown} has no input {min(unknown)!r}; it has {known}")
    shapes = {key: _input_shape(model, key, input_shapes) for key in model.inputs}
    is_dynamic = any(_DYNAMIC in listed(tensor.shapeSignature) for tensor in model.graph.tensors)
    given = any(shapes[key] != model.shape(tensor) for key, tensor in model.inputs.items())
    if not is_dynamic and not given:
        return model
    runs = _runs(model, shapes)
    if not runs:  # it needs what is not here, such as the Flex delegate: the file's shapes are all there is
        return model
    found = {tensor: shape for run in runs for tensor, shape in run.items()}
    varying = frozenset(t for t, shape in found.items() if any(run.get(t) != shape for run in runs))
    return _reshaped(model, found, varying)


def _runs(model: LitertModel, shapes: Mapping[str, tuple[int, ...]]) -> list[dict[int, tuple[int, ...]]]:
    """Return the shape of every tensor in runs on made-up numbers."""
    if why_not_run(model):
        return []
    rng = np.random.default_rng(0)
    found = []
    for lowest in _LOWEST:
        sample = _made_up_sample(model, shapes, rng, lowest)
        try:
            (values,) = tensor_values(model, [sample])
        except ModelError as exc:
            log.debug("no shapes from a run: %s", exc)
        else:
            found.append({tensor: value.shape for tensor, value in values.items()})
    return found


def made_up_samples(model: LitertModel, count: int) -> list[Feeds]:
    """Return samples of noise for a model with static shapes; the same ones in every run.

    Raises
    ------
    ModelError
        If an input is no array.
    """
    rng = np.random.default_rng(0)
    shapes = {key: model.shape(tensor) for key, tensor in model.inputs.items()}
    return [_made_up_sample(model, shapes, rng, -1.0) for _ in range(count)]


def _made_up_sample(
    model: LitertModel, shapes: Mapping[str, tuple[int, ...]], rng: np.random.Generator, lowest: float
) -> Feeds:
    return {
        key: _made_up(shape, model.element_type(model.inputs[key]), rng, lowest)
        for key, shape in shapes.items()
    }


def _input_shape(model: LitertModel, key: str, given: Mapping[str, tuple[int, ...]]) -> tuple[int, ...]:
    tensor = model.inputs[key]
    shape, signature = model.shape(tensor), tuple(listed(model.graph.tensors[tensor].shapeSignature))
    declared = signature if len(signature) == len(shape) else shape
    if key not in given:
        if _DYNAMIC in declared[1:]:
            named = ["?" if size == _DYNAMIC else str(size) for size in declared]
            raise ModelError(
                f"{model.shown}: input {key!r} has dynamic shape [{', '.join(named)}]; declare it as "
                f"input_shapes: {{{key}: [{', '.join(named)}]}} in the scenario, or with --shape "
                f"{key}={','.join(named)} for plan init and plan inspect, with a number for each ?"
            )
        return shape
    wanted = given[key]
    fits = len(wanted) == len(declared) and all(
        known in (_DYNAMIC, size) for known, size in zip(declared, wanted, strict=True)
    )
    if not fits:
        declared_text = ",".join("?" if size == _DYNAMIC else str(size) for size in declared)
        raise ModelError(f"{model.shown}: input {key!r} is {declared_text}, not {','.join(map(str, wanted))}")
    return wanted


def _made_up(shape: tuple[int, ...], element: ElementType, rng: np.random.Generator, lowest: float) -> Array:
    if not element.can_be_handed_over:
        raise ModelError(f"an input of type {element.name} is not supported")
    if element.numpy.kind != "f":
        return rng.integers(0, 2, shape).astype(element.numpy)
    return rng.uniform(lowest, 1.0, shape).astype(element.numpy)


def _reshaped(
    model: LitertModel, shapes: Mapping[int, tuple[int, ...]], varying: frozenset[int]
) -> LitertModel:
    tables, graph = copy.copy(model.tables), copy.copy(model.graph)
    graph.tensors = list(graph.tensors)
    for number, tensor in enumerate(graph.tensors):
        graph.tensors[number] = copied = copy.copy(tensor)
        if number in shapes and not model.is_constant(number):
            copied.shape = [int(size) for size in shapes[number]]
        if number not in varying:
            copied.shapeSignature = None
    tables.subgraphs = list(tables.subgraphs)
    tables.subgraphs[model.subgraph] = graph
    return replace(model, tables=tables, varying=varying)
