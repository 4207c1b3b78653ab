"""Who writes and who reads each tensor of an ONNX model."""

from collections.abc import Collection, Iterable

import onnx

from profiling.onnx_io.subgraphs import all_inputs, subgraphs


class Dataflow:
    """Who writes and who reads each tensor."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._initializers = {init.name: init for init in model.graph.initializer}
        self.constants = set(self._initializers)
        for node in model.graph.node:
            if node.op_type == "DequantizeLinear" and self.constants.issuperset(filter(None, node.input)):
                self.constants.add(node.output[0])  # an int8 weight
        self.nested = {node.name for node in model.graph.node if subgraphs(node)}
        self.writer = {name: node for node in model.graph.node for name in node.output if name}
        self.position = {node.name: i for i, node in enumerate(model.graph.node)}
        self.nodes = {node.name: node for node in model.graph.node}
        values = (*model.graph.input, *model.graph.value_info, *model.graph.output)
        self._ranks = {value.name: len(value.type.tensor_type.shape.dim) for value in values}
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

    def constant(self, name: str) -> onnx.TensorProto | None:
        """Return the initializer of a constant, or of what it is dequantized from."""
        writer = self.writer.get(name)
        is_dequantized = writer is not None and writer.op_type == "DequantizeLinear"
        return self._initializers.get(writer.input[0] if writer is not None and is_dequantized else name)

    def rank(self, name: str) -> int:
        """Return how many axes a tensor has; 0 if unknown."""
        return self._ranks.get(name, 0)
