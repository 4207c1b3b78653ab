"""NNCF's accuracy control: everything in int8, and back to fp32 whatever costs accuracy (extra `bench`).

The tool calibrates on the samples that plans are calibrated on, and judges on those that are held back.
"""

import os
from collections.abc import Iterable, Sequence

import numpy as np
import onnx

from planner.errors import DataError
from planner.inputs.prepared_scenario import Prepared
from profiling.arrays import Array
from profiling.onnx_io.external_weights import inline
from profiling.runtime.open_session import open_session, run_session

Outputs = dict[str, Array]


def accuracy_controlled(prepared: Prepared, most_drop: float) -> onnx.ModelProto:
    """Return the model as the tool quantizes it, so that it loses no more than that on held-back data.

    Raises
    ------
    ModuleNotFoundError
        If the tool is not installed.
    """
    os.environ.setdefault("NNCF_CI", "1")  # else it tells its makers of each call
    import nncf

    held_back, samples = prepared.held_back, prepared.subject.calibration.samples
    are_transformers = any(node.op_type == "Softmax" for node in _inner_nodes(prepared))

    def judge(model: onnx.ModelProto, indices: Iterable[int]) -> tuple[float, None]:
        session = open_session(model, prepared.runtime)
        chosen = list(indices)
        outputs = [run_session(session, held_back.samples[index]) for index in chosen]
        # Outputs in place of None would let it rank by what they change, but only models of OpenVINO.
        return score(prepared, outputs, chosen), None

    return nncf.quantize_with_accuracy_control(
        float_model(prepared),
        nncf.Dataset(range(len(samples)), samples.__getitem__),
        nncf.Dataset(range(len(held_back.samples)), held_back.samples.__getitem__),
        judge,
        max_drop=most_drop,
        subset_size=len(samples),
        model_type=nncf.ModelType.TRANSFORMER if are_transformers else None,
    )


def float_model(prepared: Prepared) -> onnx.ModelProto:
    """Return the fp32 model with all weights inside: tools do not look for the files of large ones."""
    model = onnx.ModelProto()
    model.CopyFrom(prepared.models.graph.fp32_model)
    for weight in model.graph.initializer:
        weight.CopyFrom(inline(weight))
    return model


def _inner_nodes(prepared: Prepared) -> Iterable[onnx.NodeProto]:
    """Yield the nodes that do not make an output: a classifier's last Softmax makes no transformer."""
    graph = prepared.models.graph
    ends = set(graph.outputs)
    return (node for node in graph.fp32_model.graph.node if not ends & set(node.output))


def score(prepared: Prepared, outputs: Sequence[Outputs], indices: Sequence[int]) -> float:
    """Return what a model's outputs for some held-back samples are worth: the metric, or right answers.

    Where the metric says nothing, as of pictures without an object, that is 0.
    """
    labels = prepared.held_back.labels
    if labels is None:
        raise ValueError("the tool needs labels")
    if prepared.metric is not None:
        joined = {name: np.concatenate([each[name] for each in outputs]) for name in outputs[0]}
        try:
            return float(prepared.metric(joined, [labels[index] for index in indices]))
        except DataError:
            return 0.0
    first = prepared.models.graph.outputs[0]
    answers = [int(each[first].argmax()) for each in outputs]
    return float(np.mean(np.asarray(answers) == labels[list(indices)]))
