"""Graphs of units made up from names and edges, without a model behind them."""

from collections.abc import Iterable, Sequence

import networkx as nx
import onnx
from onnx import TensorProto

from profiling.graph.any_model import Tensor
from profiling.graph.operator_graph import Unit
from profiling.graph.unit_graph import ModelGraph


def made_graph(names: Sequence[str], edges: Iterable[tuple[int, int]]) -> ModelGraph:
    """Return a graph of units in running order; the first one reads `x`, the last one gives `y`."""
    last = len(names) - 1
    dag: nx.DiGraph = nx.DiGraph()
    tensors = {name: Tensor(name, (1, 8), TensorProto.FLOAT) for name in ("x", "y")}
    reads: list[list[str]] = [["x"] if n == 0 else [] for n in range(len(names))]
    for number in range(len(names)):
        tensors[f"t{number}"] = Tensor(f"t{number}", (1, 8), TensorProto.FLOAT)
        dag.add_node(number)
    for source, target in edges:
        reads[target].append(f"t{source}")
        dag.add_edge(source, target, tensors=[tensors[f"t{source}"]])
    units = tuple(
        Unit(
            index=number,
            name=name,
            nodes=(name,),
            op_types=("Conv", "Relu") if number % 2 else ("MatMul",),
            inputs=tuple(reads[number]),
            outputs=(f"t{number}", "y") if number == last else (f"t{number}",),
            weight_bytes=64,
            weight_bytes_int8=16,
            weight_bytes_int16=32,
            obstacle="",
            quantized=False,
            scale_preserving=False,
            kernel_forced=False,
        )
        for number, name in enumerate(names)
    )
    return ModelGraph(
        model=onnx.ModelProto(), units=units, tensors=tensors, inputs=("x",), outputs=("y",), dag=dag
    )


def transformer_graph(blocks: int = 12, units: int = 557) -> ModelGraph:
    """Return a deep graph with blocks of residual branches, as many units as asked for in all."""
    names, edges = ["embed/MatMul"], []
    while len(names) < units - 1:
        block = (len(names) - 1) * blocks // (units - 2)
        number = len(names)
        names.append(f"net/layer_{block}/part_{number % 46 // 8}/op_{number}")
        edges.append((number - 1, number))
        if number % 5 == 0:
            edges.append((number - 3, number))
        if number % 23 == 0:
            edges.append((number - 20, number))
    edges.append((len(names) - 1, len(names)))
    return made_graph([*names, "head/Gemm"], edges)
