"""Which nodes ONNX Runtime fuses into one kernel, so that they are decided together."""

from collections.abc import Collection, Iterable

import networkx as nx
import onnx

from profiling.onnx_io.element_types import NUMPY_TYPES
from profiling.onnx_io.subgraphs import all_inputs, subgraphs
from profiling.quantization.qdq_model import ACTIVATIONS

_ANCHORS = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
_ELEMENTWISE = frozenset({"Add", "Mul"})
# Of the activation x * f(x), which ONNX Runtime computes in one kernel, unless x is dequantized right before:
# Gelu has an Erf, FastGelu a Tanh, QuickGelu a Sigmoid.
_INSIDE_GELU = frozenset({"Add", "Div", "Mul", "Pow", "Sub"})
_OF_GELU = frozenset({"Erf", "Tanh", "Sigmoid"})
_MOST_INSIDE_GELU = 8
_SHAPE_ONLY = frozenset({"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Dropout"})


def group_nodes(model: onnx.ModelProto) -> list[list[onnx.NodeProto]]:
    """Return the nodes of each unit, units in topological order.

    A unit is an anchor (Conv, Gemm, MatMul, Add ...) with the constant Add or Mul, residual Add,
    activation and shape-only nodes that follow it and that nothing else reads in between. All nodes of a
    GELU are one, and so are a Concat and the Slices of one tensor that it puts together. In a model that is
    quantized already, a QuantizeLinear goes with the node before it, a DequantizeLinear with the node behind
    it. Only the last node of a unit is read from outside, so units form a DAG. What is joined by a tensor
    that cannot be handed over is one unit, whatever lies between included.
    """
    flow = _Flow(model)
    leader: dict[str, str] = {}
    for node in model.graph.node:
        leader[node.name] = _leader(node, flow, leader)
    for node in reversed(model.graph.node):
        reader = flow.reader_behind(node)
        if reader is not None:
            leader[node.name] = leader[reader]
    _join_compositions(model, flow, leader)
    _join_by_unportable(model, leader)
    members: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        members.setdefault(leader[node.name], []).append(node)
    return [members[name] for name in _order(model, leader)]


class _Flow:
    """Who writes and who reads each tensor."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.constants = {init.name for init in model.graph.initializer}
        for node in model.graph.node:
            if node.op_type == "DequantizeLinear" and self.constants.issuperset(filter(None, node.input)):
                self.constants.add(node.output[0])  # an int8 weight
        self.nested = {node.name for node in model.graph.node if subgraphs(node)}
        self.writer = {name: node for node in model.graph.node for name in node.output if name}
        self.position = {node.name: i for i, node in enumerate(model.graph.node)}
        self.nodes = {node.name: node for node in model.graph.node}
        self.readers: dict[str, list[str]] = {out.name: [""] for out in model.graph.output}
        for node in model.graph.node:
            for name in all_inputs(node):
                self.readers.setdefault(name, []).append(node.name)

    def reader_behind(self, node: onnx.NodeProto) -> str | None:
        """Return the one node that a DequantizeLinear, or the capture of a nested graph, works for."""
        readers = self.readers.get(node.output[0], []) if node.output else []
        if len(readers) != 1 or not readers[0]:
            return None
        captured = node.op_type == "Identity" and readers[0] in self.nested
        return readers[0] if captured or node.op_type == "DequantizeLinear" else None

    def activations(self, node: onnx.NodeProto) -> list[str]:
        """Return the inputs that are no constants."""
        return [name for name in node.input if name and name not in self.constants]

    def op_type(self, name: str) -> str:
        """Return the operator type of a node; of the caller, who has no name, none."""
        return self.nodes[name].op_type if name in self.nodes else ""

    def only_reader(self, node: onnx.NodeProto) -> onnx.NodeProto | None:
        """Return the node that reads what a node writes, if it is the only one."""
        readers = set(self.readers.get(node.output[0], ()))
        return self.nodes.get(readers.pop()) if len(readers) == 1 else None

    def read_inside(self, names: Iterable[str], inside: Collection[str]) -> bool:
        """Return whether what some nodes write is read by others of a set alone."""
        written = (name for node in names for name in self.nodes[node].output)
        return all(reader in inside for name in written for reader in self.readers.get(name, ()))

    def private(self, tensor: str, readers: Iterable[str]) -> bool:
        """Return whether only `readers` read a tensor (the caller of the model is no reader)."""
        return set(self.readers.get(tensor, ())) == set(readers)


def _leader(node: onnx.NodeProto, flow: _Flow, leader: dict[str, str]) -> str:
    """Return the first node of the unit that `node` joins, itself if it starts one."""
    if flow.reader_behind(node) is not None:
        return node.name
    for tensor in sorted(flow.activations(node), key=lambda t: -_position(t, flow)):
        producer = flow.writer.get(tensor)
        if producer is not None and _joins(node, producer, tensor, flow):
            return leader[producer.name]
    return node.name


def _position(tensor: str, flow: _Flow) -> int:
    producer = flow.writer.get(tensor)
    return -1 if producer is None else flow.position[producer.name]


def _joins(node: onnx.NodeProto, producer: onnx.NodeProto, tensor: str, flow: _Flow) -> bool:
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


def _is_silu_part(node: onnx.NodeProto, producer: onnx.NodeProto, tensor: str, flow: _Flow) -> bool:
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


def _join_compositions(model: onnx.ModelProto, flow: _Flow, leader: dict[str, str]) -> None:
    """Let nodes that the runtime has one kernel for have one leader, with what follows them, in place."""
    for node in model.graph.node:
        names = set[str]()
        if node.op_type in _OF_GELU:
            names = _gelu_around(node, flow)
        elif node.op_type == "Concat":
            names = _slices_before(node, flow)
        units = {leader[name] for name in names}
        if units and units <= names:
            first = min(units, key=flow.position.__getitem__)
            leader.update({name: first for name, own in leader.items() if own in units})


def _slices_before(concat: onnx.NodeProto, flow: _Flow) -> set[str]:
    """Return a Concat and the Slices that give it parts of one tensor; none if they are not all it reads.

    With steps of 2 these are a SpaceToDepth.
    """
    names, sources, left = {concat.name}, set[str](), list(concat.input)
    while left:
        name = left.pop()
        writer = flow.writer.get(name)
        if writer is not None and writer.op_type == "Slice":
            names.add(writer.name)
            left.append(writer.input[0])
        else:
            sources.add(name)
    alone = len(sources) == 1 and not sources & set(concat.input)
    return names if alone and flow.read_inside(names - {concat.name}, names) else set()


def _gelu_around(node: onnx.NodeProto, flow: _Flow) -> set[str]:
    """Return the nodes of x * f(x) with a node in f; none where something else reads what f computes.

    x may have a constant factor.
    """
    path = [node]
    while len(flow.activations(path[-1])) == 1:
        behind = flow.only_reader(path[-1])
        if behind is None or behind.op_type not in _INSIDE_GELU:
            return set()
        path.append(behind)
    product, names = path[-1], {one.name for one in path}
    written = {one.output[0] for one in path}
    factors = [name for name in flow.activations(product) if name not in written]
    if product.op_type != "Mul" or len(factors) != 1:
        return set()
    scaled = flow.writer.get(factors[0])
    for source in (*factors, *(flow.activations(scaled) if scaled is not None else ())):
        found = names | _nodes_between(source, [*node.input, *factors], flow)
        if len(found) > len(names) and flow.read_inside(found - {product.name}, found):
            return found
    return set()


def _nodes_between(source: str, tensors: Iterable[str], flow: _Flow) -> set[str]:
    """Return the nodes that compute tensors from one other tensor alone; none if that is not what they do."""
    names, left = set[str](), list(tensors)
    while left:
        name = left.pop()
        writer = flow.writer.get(name)
        if name == source or name in flow.constants:
            continue
        if writer is None or writer.op_type not in _INSIDE_GELU or len(names) > _MOST_INSIDE_GELU:
            return set()
        names.add(writer.name)
        left += writer.input
    return names


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
