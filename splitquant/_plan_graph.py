"""A plan's record and the graph that it places -> a networkx graph."""

import json
from collections.abc import Collection

import networkx as nx

from planner.plan.graph_record import GraphTensor, UnitGraph
from planner.plan.plan_record import Cut, Plan


def plan_graph(plan: Plan, units: UnitGraph) -> nx.DiGraph:
    """Return a plan's graph; `PlanResult.graph` says what is in it."""
    scenario = json.loads(bytes(plan.scenario))
    graph: nx.DiGraph = nx.DiGraph(latency_s=plan.predicted.latency_s if plan.predicted else None)
    for assigned, unit in zip(plan.assignments, units.units, strict=True):
        graph.add_node(
            assigned.unit,
            kind="unit",
            device=assigned.device,
            precision=assigned.precision.value,
            seconds=assigned.compute_s,
            bytes=assigned.weight_bytes,
            noise_power=assigned.noise_power,
            operators=unit.operators,
        )
    cuts = {(cut.tensor, cut.source, cut.target): cut for cut in plan.cuts}
    names = {assigned.unit for assigned in plan.assignments}
    for tensor in units.tensors:
        source = tensor.source or _add_end(graph, names, "input", tensor.tensor, scenario["source"])
        targets = list(tensor.targets)
        if tensor.is_output:
            targets.append(_add_end(graph, names, "output", tensor.tensor, scenario["sink"]))
        for target in targets:
            key = tensor.tensor, graph.nodes[source]["device"], graph.nodes[target]["device"]
            _carry(graph, source, target, tensor, cuts.get(key))
    return graph


def _add_end(graph: nx.DiGraph, units: Collection[str], kind: str, tensor: str, device: str) -> str:
    """Add an input or output of the model under a name that no unit has, and return the name."""
    name = f"{kind}:{tensor}"
    while name in units:
        name = f"_{name}"
    graph.add_node(
        name, kind=kind, device=device, precision=None, seconds=0.0, bytes=0, noise_power=0.0, operators=()
    )
    return name


def _carry(graph: nx.DiGraph, source: str, target: str, tensor: GraphTensor, cut: Cut | None) -> None:
    """Let an edge carry one more tensor."""
    if not graph.has_edge(source, target):
        graph.add_edge(source, target, tensors=(), tensor_bytes=0, bytes=0, seconds=0.0, wire=None)
    edge = graph.edges[source, target]
    edge["tensors"] += (tensor.tensor,)
    edge["tensor_bytes"] += tensor.size_bytes
    if cut is not None:
        edge["bytes"] += cut.size_bytes
        edge["seconds"] += cut.seconds
        wires = [*([edge["wire"]] if edge["wire"] else []), cut.wire.value]
        edge["wire"] = " + ".join(dict.fromkeys(wires))
