"""Parts of a model: what computes some tensors from others."""

from collections.abc import Sequence

import onnx
from onnx import helper

from profiling.onnx_io.subgraphs import all_inputs


class Library:
    """A model's nodes, weights and types by name, to make parts of it from."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        graph = model.graph
        self.writer = {name: i for i, node in enumerate(graph.node) for name in node.output if name}
        self.weights = {init.name: init for init in graph.initializer}
        self.values = {v.name: v for v in (*graph.value_info, *graph.input, *graph.output)}

    def part(self, inputs: Sequence[str], outputs: Sequence[str]) -> onnx.ModelProto:
        """Return the model that computes some tensors from others; nested graphs come whole."""
        given, needed, todo = set(inputs), set[int](), list(outputs)
        while todo:
            name = todo.pop()
            place = self.writer.get(name)
            if name not in given and place is not None and place not in needed:
                needed.add(place)
                todo += all_inputs(self.model.graph.node[place])
        nodes = [self.model.graph.node[place] for place in sorted(needed)]
        read = dict.fromkeys(name for node in nodes for name in all_inputs(node))
        ends = {*inputs, *outputs}
        graph = helper.make_graph(
            nodes,
            self.model.graph.name,
            [self.values[name] for name in inputs],
            [self.values[name] for name in outputs],
            [self.weights[name] for name in read if name in self.weights],
            value_info=[self.values[name] for name in read if name in self.values and name not in ends],
        )
        return helper.make_model(
            graph,
            ir_version=self.model.ir_version,
            opset_imports=self.model.opset_import,
            producer_name="splitquant",
        )
