"""Writes the assignment into the models, where viewers of ONNX show it: properties of models and nodes."""

from collections.abc import Mapping, Sequence

import onnx
from onnx import helper

from planner.plan.configuration import Configuration
from profiling.graph.unit_graph import ModelGraph

_PREFIX = "splitquant"
# ONNX Runtime assigns nodes to execution providers by it, as `session.layer_assignment_settings` says.
LAYER_ANNOTATION = "layer_ann"


def label_nodes(model: onnx.ModelProto, graph: ModelGraph, chosen: Configuration) -> None:
    """Write each node's unit, device and precision into its `metadata_props`, in place.

    The device is also the node's layer annotation. What the quantization tool added has no unit and gets
    none.
    """
    unit_of = {node: unit for unit in graph.units for node in unit.nodes}
    for node in model.graph.node:
        unit = unit_of.get(node.name)
        if unit is not None:
            del node.metadata_props[:]
            device = chosen.devices[unit.index]
            precision = unit.counted_as(chosen.precisions[unit.index])
            for key, value in (("unit", unit.name), ("device", device), ("precision", precision.value)):
                node.metadata_props.add(key=f"{_PREFIX}.{key}", value=value)
            node.metadata_props.add(key=LAYER_ANNOTATION, value=device)


def label_stage(model: onnx.ModelProto, number: int, devices: Sequence[str]) -> None:
    """Write which stage of which chain a model is into its `metadata_props`, in place.

    Parameters
    ----------
    devices
        Of all stages in running order.
    """
    _label(model, {"stage": f"{number:02d}", "device": devices[number], "chain": " > ".join(devices)})


def label_as_shared(model: onnx.ModelProto, device: str) -> None:
    """Leave out of a stage's `metadata_props`, in place, of which chain it is: several may have it."""
    _label(model, {"device": device})


def _label(model: onnx.ModelProto, labels: Mapping[str, str]) -> None:
    kept_properties = {e.key: e.value for e in model.metadata_props if not e.key.startswith(f"{_PREFIX}.")}
    helper.set_model_props(
        model, kept_properties | {f"{_PREFIX}.{key}": value for key, value in labels.items()}
    )
