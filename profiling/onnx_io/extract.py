"""Parts of a model: what computes some tensors from others."""

from collections.abc import Collection, Iterable, Sequence

import onnx
from onnx import helper

from profiling.onnx_io.subgraphs import all_inputs


class SubmodelExtractor:
    """A model's nodes, weights and types by name, to make parts of it from.

    One index serves many parts: a model is cut once per unit, so that a search through all of its nodes
    for each part would take quadratic time.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        graph = model.graph
        self.writer = {name: index for index, node in enumerate(graph.node) for name in node.output if name}
        self.weights = {init.name: init for init in graph.initializer}
        self.values = {v.name: v for v in (*graph.value_info, *graph.input, *graph.output)}

    def nodes_between(self, inputs: Collection[str], outputs: Iterable[str]) -> list[onnx.NodeProto]:
        """Return the nodes that compute some tensors from others, in the model's order."""
        fed, needed, pending = set(inputs), set[int](), list(outputs)
        while pending:
            name = pending.pop()
            writer = self.writer.get(name)
            if name not in fed and writer is not None and writer not in needed:
                needed.add(writer)
                # What nested graphs capture is needed as well, though the node does not list it.
                pending += all_inputs(self.model.graph.node[writer])
        return [self.model.graph.node[index] for index in sorted(needed)]

    def extract(self, inputs: Sequence[str], outputs: Sequence[str]) -> onnx.ModelProto:
        """Return the model that computes some tensors from others; nested graphs come whole.

        Equal models and names give equal bytes: nodes keep the model's order, weights that of their
        readers. Large weights stay where they are.

        Parameters
        ----------
        inputs
            Tensors or weights that are fed; what computes them is left out.
        outputs
            Tensors to compute. What they need besides `inputs` and weights must be computed by nodes.

        Raises
        ------
        KeyError
            If the model does not say what type an input or output has.
        """
        nodes = self.nodes_between(inputs, outputs)
        read = dict.fromkeys(name for node in nodes for name in all_inputs(node))
        ends = {*inputs, *outputs}
        graph = helper.make_graph(
            nodes,
            self.model.graph.name,
            [self.values[name] for name in inputs],
            [self.values[name] for name in outputs],
            [self.weights[name] for name in read if name in self.weights],
            # ONNX lists a type once: those of inputs and outputs stand there already.
            value_info=[self.values[name] for name in read if name in self.values and name not in ends],
        )
        return helper.make_model(
            graph,
            ir_version=self.model.ir_version,
            opset_imports=self.model.opset_import,
            producer_name="splitquant",
        )
