"""Names a model's nodes after the unit or switch that they work for, so that kernels lead back."""

import itertools
from collections.abc import Collection, Mapping
from types import MappingProxyType

import onnx

from profiling.graph.blocked_layout import is_layout_pool
from profiling.graph.unit_graph import ModelGraph
from profiling.latency.measured_mixes import switch_tensors
from profiling.on_device.kernels import NESTED, UNKNOWN_OWNER, Owner, OwnerKind
from profiling.on_device.measurement_order import DECODE, ENCODE
from profiling.onnx_io.subgraphs import all_nodes, outer_scope_inputs, subgraphs
from profiling.precision import Precision
from profiling.quantization.qdq_model import QUANTIZED_SUFFIX, SWITCHES


def tag_model(
    model: onnx.ModelProto, graph: ModelGraph, mix: Mapping[int, Precision] = MappingProxyType({})
) -> onnx.ModelProto:
    """Return a copy whose node and tensor names say which unit or switch they belong to.

    Kernels are named after the nodes and tensors that they were fused from, so their names then lead
    back. Names of graph inputs stay; outputs keep their order.

    Parameters
    ----------
    model
        `graph.model`, or the same with the units of `mix` quantized.
    """
    tagged = onnx.ModelProto()
    tagged.CopyFrom(model)
    owners = _node_owners(model, graph, mix)
    fixed = {value.name for value in model.graph.input}
    fixed |= {init.name for init in model.graph.initializer}
    fixed |= {name for node in model.graph.node for name in outer_scope_inputs(node)}
    renamed: dict[str, str] = {}
    nested_numbers = itertools.count()
    for number, node in enumerate(tagged.graph.node):
        tag = owners[node.name].tag(number)
        node.name = tag
        for inner in (nested for body in subgraphs(node) for nested in all_nodes(body)):
            inner.name = f"{NESTED}{next(nested_numbers)}"
        for position, name in enumerate(node.output):
            if name and name not in fixed:
                renamed[name] = node.output[position] = f"{tag}.{position}"
    for node in tagged.graph.node:
        for position, name in enumerate(node.input):
            node.input[position] = renamed.get(name, name)
    for value in tagged.graph.output:
        value.name = renamed.get(value.name, value.name)
    del tagged.graph.value_info[:]
    return tagged


def _node_owners(model: onnx.ModelProto, graph: ModelGraph, mix: Mapping[int, Precision]) -> dict[str, Owner]:
    unit_of = {node: unit.index for unit in graph.units for node in unit.nodes}
    owners = {
        node.name: Owner(OwnerKind.UNIT, unit_of[node.name])
        for node in model.graph.node
        if node.name in unit_of
    }
    switches = _switch_owners(graph, mix)
    readers: dict[str, int] = {}
    for node in model.graph.node:
        for name in node.input:
            if node.name in unit_of:
                readers.setdefault(name, unit_of[node.name])
    source = graph.model.graph
    writers = {n: unit_of[node.name] for node in source.node if node.name in unit_of for n in node.output}
    wires = {
        f"{side} {name}": Owner(kind, index)
        for index, name in enumerate(switch_tensors(graph))
        for side, kind in ((ENCODE, OwnerKind.ENCODE), (DECODE, OwnerKind.DECODE))
    }
    for node in model.graph.node:
        if node.op_type not in SWITCHES and node.output[0] in writers:  # what keeps a unit in float
            owners.setdefault(node.name, Owner(OwnerKind.UNIT, writers[node.output[0]]))
    pools = _layout_pools(model)
    owners |= _form_owners(model, {*owners, *wires, *pools}, readers)
    for node in model.graph.node:
        if node.name not in owners:
            owners[node.name] = wires.get(node.name) or _qdq_owner(
                pools.get(node.name, node), switches, readers, writers
            )
    return owners


def _layout_pools(model: onnx.ModelProto) -> dict[str, onnx.NodeProto]:
    """Return name of a pool that brings a tensor into the blocked layout -> what dequantizes that tensor."""
    dequantizers = {node.output[0]: node for node in model.graph.node if node.op_type == "DequantizeLinear"}
    return {
        node.name: dequantizers[node.input[0]]
        for node in model.graph.node
        if is_layout_pool(node) and node.input[0] in dequantizers
    }


def _form_owners(
    model: onnx.ModelProto, others: Collection[str], readers: Mapping[str, int]
) -> dict[str, Owner]:
    """Return the owners of what a form puts in front of a unit's node: the unit that reads it.

    Parameters
    ----------
    others
        Names of nodes that are nothing of the kind.
    readers
        Tensor -> the first unit that reads it.
    """
    owners, read_by = dict[str, Owner](), dict(readers)
    for node in reversed(model.graph.node):
        if node.name in others or node.op_type in SWITCHES or node.output[0] not in read_by:
            continue
        unit = read_by[node.output[0]]
        owners[node.name] = Owner(OwnerKind.UNIT, unit)
        for name in node.input:
            read_by.setdefault(name, unit)
    return owners


def _switch_owners(graph: ModelGraph, mix: Mapping[int, Precision]) -> dict[tuple[str, str], Owner]:
    """Return (op type, quantized tensor) -> owner of its QuantizeLinear or DequantizeLinear."""
    owners, quantized = {}, graph.tensor_precisions(mix)
    numbers = {unit: precision.numbers for unit, precision in mix.items()}
    for index, name in enumerate(switch_tensors(graph)):
        if name not in graph.outputs and not graph.consumers(name):
            continue  # an input or output that nothing reads
        producer, consumers = graph.producer(name), graph.consumers(name)
        precision = quantized.get(name, Precision.FP32)
        inside = producer is not None and numbers.get(producer) is precision
        owners["QuantizeLinear", name] = (
            Owner(OwnerKind.UNIT, producer)
            if inside and producer is not None
            else Owner(OwnerKind.QUANTIZE, index)
        )
        back = name in graph.outputs or any(numbers.get(unit) is not precision for unit in consumers)
        owners["DequantizeLinear", name] = (
            Owner(OwnerKind.DEQUANTIZE, index) if back else Owner(OwnerKind.UNIT, consumers[0])
        )
    return owners


def _qdq_owner(
    node: onnx.NodeProto,
    switches: Mapping[tuple[str, str], Owner],
    readers: Mapping[str, int],
    writers: Mapping[str, int],
) -> Owner:
    quantized = node.output[0] if node.op_type == "QuantizeLinear" else node.input[0]
    tensor = quantized.removesuffix(QUANTIZED_SUFFIX)
    if (node.op_type, tensor) in switches:
        return switches[node.op_type, tensor]
    if node.output[0] in readers:  # a weight, or a tensor inside a unit
        return Owner(OwnerKind.UNIT, readers[node.output[0]])
    return Owner(OwnerKind.UNIT, writers[tensor]) if tensor in writers else UNKNOWN_OWNER
