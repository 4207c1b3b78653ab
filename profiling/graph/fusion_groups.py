"""Which nodes ONNX Runtime fuses into one kernel, so that they are decided together."""

import networkx as nx
import onnx

from profiling.graph.dataflow import Dataflow
from profiling.graph.written_out import operators_written_out
from profiling.onnx_io.element_types import NUMPY_TYPES
from profiling.onnx_io.subgraphs import all_inputs
from profiling.quantization.qdq_model import ACTIVATIONS

_ANCHORS = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
_ELEMENTWISE = frozenset({"Add", "Mul"})
_SHAPE_ONLY = frozenset({"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Dropout"})


def group_nodes(model: onnx.ModelProto) -> list[list[onnx.NodeProto]]:
    """Return the nodes of each unit, units in topological order.

    A unit is an anchor (Conv, Gemm, MatMul, Add ...) with the constant Add or Mul, residual Add,
    activation and shape-only nodes that follow it and that nothing else reads in between. All nodes of an
    operator that is written out, as a GELU or a layer normalization, are one. In a model that is quantized
    already, a QuantizeLinear goes with the node before it, a DequantizeLinear with the node behind it. Only
    the last node of a unit is read from outside, so units form a DAG. What is joined by a tensor that cannot
    be handed over is one unit, whatever lies between included.
    """
    flow = Dataflow(model)
    leader: dict[str, str] = {}
    for node in model.graph.node:
        leader[node.name] = _leader(node, flow, leader)
    for node in reversed(model.graph.node):
        reader = flow.reader_behind(node)
        if reader is not None:
            leader[node.name] = leader[reader]
    _join_written_out(flow, leader)
    _join_by_unportable(model, leader)
    members: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        members.setdefault(leader[node.name], []).append(node)
    return [members[name] for name in _order(model, leader)]


def _leader(node: onnx.NodeProto, flow: Dataflow, leader: dict[str, str]) -> str:
    """Return the first node of the unit that `node` joins, itself if it starts one."""
    if flow.reader_behind(node) is not None:
        return node.name
    for tensor in sorted(flow.activations(node), key=lambda t: -_position(t, flow)):
        producer = flow.writer.get(tensor)
        if producer is not None and _joins(node, producer, tensor, flow):
            return leader[producer.name]
    return node.name


def _position(tensor: str, flow: Dataflow) -> int:
    producer = flow.writer.get(tensor)
    return -1 if producer is None else flow.position[producer.name]


def _joins(node: onnx.NodeProto, producer: onnx.NodeProto, tensor: str, flow: Dataflow) -> bool:
    if len(producer.output) != 1:
        return False
    if _is_silu_part(node, producer, tensor, flow):
        return True
    if not flow.private(tensor, [node.name]):
        return False
    if node.op_type in _SHAPE_ONLY or node.op_type == "QuantizeLinear":
        return True
    if node.op_type in ACTIVATIONS:  # behind a QuantizeLinear it clips integers
        return producer.op_type in _ANCHORS | _ELEMENTWISE | {"QuantizeLinear"}
    if node.op_type in _ELEMENTWISE and producer.op_type in _ANCHORS | {"Mul"}:
        constant = len(flow.activations(node)) == 1
        return constant or (node.op_type == "Add" and producer.op_type == "Conv")
    return False


def _is_silu_part(node: onnx.NodeProto, producer: onnx.NodeProto, tensor: str, flow: Dataflow) -> bool:
    """Return whether node is the Sigmoid or the Mul of x * sigmoid(x) right behind a Conv."""
    if node.op_type == "Sigmoid" and producer.op_type == "Conv":
        readers = [r for r in flow.readers.get(tensor, ()) if r != node.name]
        after = flow.readers.get(node.output[0], [])
        # The Mul that joins as well: any other reader would read inside the unit.
        return len(readers) == 1 and readers == after and flow.op_type(readers[0]) == "Mul"
    if node.op_type == "Mul" and producer.op_type == "Sigmoid":
        other = [name for name in node.input if name != tensor]
        return flow.private(tensor, [node.name]) and other == [producer.input[0]]
    return False


def _join_written_out(flow: Dataflow, leader: dict[str, str]) -> None:
    """Let all nodes of an operator that is written out, and what follows them, have one leader, in place."""
    for names in operators_written_out(flow):
        units = {leader[name] for name in names}
        if units <= names:
            first = min(units, key=flow.position.__getitem__)
            leader.update({name: first for name, own in leader.items() if own in units})


def unportable_tensors(model: onnx.ModelProto) -> frozenset[str]:
    """Return what cannot be handed from one unit to another: sequences, text, shapes that change.

    That is what a prepared model tells no shape of, or a type that NumPy lacks.
    """
    values = (*model.graph.input, *model.graph.value_info, *model.graph.output)
    elem_types = {value.name: value.type.tensor_type.elem_type for value in values}
    written = (name for node in model.graph.node for name in node.output if name)
    return frozenset(name for name in written if elem_types.get(name) not in NUMPY_TYPES)


def _join_by_unportable(model: onnx.ModelProto, leader: dict[str, str]) -> None:
    """Let units that an unportable tensor joins have one leader, in place."""
    unportable = unportable_tensors(model)
    if not unportable:
        return
    writer = {name: node.name for node in model.graph.node for name in node.output if name in unportable}
    pairs = nx.Graph()
    for node in model.graph.node:
        pairs.add_edges_from(
            (leader[writer[n]], leader[node.name]) for n in all_inputs(node) if n in unportable
        )
    for joined in map(set, nx.connected_components(pairs)):
        quotient = _quotient(model, leader)
        joined = {leader[name] for name in joined}
        behind = set().union(*(nx.descendants(quotient, name) for name in joined))
        before = set().union(*(nx.ancestors(quotient, name) for name in joined))
        group = joined | (behind & before)
        first = next(node.name for node in model.graph.node if leader[node.name] in group)
        for name in leader:
            if leader[name] in group:
                leader[name] = first


def _order(model: onnx.ModelProto, leader: dict[str, str]) -> list[str]:
    first = {node.name: i for i, node in enumerate(model.graph.node)}
    quotient = _quotient(model, leader)
    return list(nx.lexicographical_topological_sort(quotient, key=first.__getitem__))


def _quotient(model: onnx.ModelProto, leader: dict[str, str]) -> nx.DiGraph:
    """Return the graph of units, by the names of their leaders."""
    writer = {name: node.name for node in model.graph.node for name in node.output if name}
    quotient = nx.DiGraph()
    quotient.add_nodes_from(dict.fromkeys(leader.values()))
    for node in model.graph.node:
        for name in all_inputs(node):
            if name in writer and leader[writer[name]] != leader[node.name]:
                quotient.add_edge(leader[writer[name]], leader[node.name])
    return quotient
