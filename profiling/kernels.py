"""Which unit or switch each kernel of a running model belongs to, and how long it took."""

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import onnx

from profiling.graph import ModelGraph
from profiling.quantize import QUANTIZED_SUFFIX
from profiling.scopes import all_nodes, bodies, captures
from profiling.timing import middle_mean

_TAG = re.compile(r"@([uqd])(\d+)@")
_NESTED = "@nested@"  # its seconds are part of the If, Loop or Scan around it
_SUFFIX = "_kernel_time"
_MICRO = 1e-6


@dataclass(frozen=True, slots=True)
class Owner:
    """Who a kernel works for: a unit, or the switch of a boundary tensor to int8 or back."""

    kind: str  # "u" unit, "q" to int8, "d" to fp32, "" unknown
    index: int


@dataclass(frozen=True, slots=True)
class Kernel:
    """One kernel of a model and its seconds per run."""

    name: str
    op_type: str
    owner: Owner
    seconds: float


@dataclass(frozen=True, slots=True)
class KernelTimes:
    """All kernels of one model."""

    kernels: tuple[Kernel, ...]

    @property
    def count(self) -> int:
        """Number of kernels that run."""
        return len(self.kernels)

    @property
    def total_s(self) -> float:
        """Seconds of all kernels."""
        return sum(kernel.seconds for kernel in self.kernels)

    @property
    def attributed_s(self) -> float:
        """Seconds of the kernels that belong to a unit or a switch."""
        return sum(kernel.seconds for kernel in self.kernels if kernel.owner.kind)

    @property
    def quantize_s(self) -> dict[int, float]:
        """Boundary tensor -> seconds to bring it into int8."""
        return self._by_index("q")

    @property
    def dequantize_s(self) -> dict[int, float]:
        """Boundary tensor -> seconds to bring it back into fp32."""
        return self._by_index("d")

    def of_unit(self, index: int) -> float:
        """Return the seconds of a unit's kernels."""
        return self._by_index("u").get(index, 0.0)

    def as_unprofiled(self, wall_s: float) -> "KernelTimes":
        """Return these times with the profiler's own cost taken off, so that they fit into `wall_s`.

        The profiler adds a constant to every kernel, at most what the cheapest kernel takes; the rest
        of the excess slows all kernels alike (its records compete for the cache).
        """
        excess = self.total_s - wall_s
        if excess <= 0 or not self.kernels:
            return self
        constant = min(excess / self.count, min(kernel.seconds for kernel in self.kernels))
        scale = wall_s / (self.total_s - constant * self.count)
        return KernelTimes(tuple(replace(k, seconds=(k.seconds - constant) * scale) for k in self.kernels))

    def scaled(self, factor: float) -> "KernelTimes":
        """Return these times on a machine that takes `factor` times as long."""
        return KernelTimes(tuple(replace(k, seconds=k.seconds * factor) for k in self.kernels))

    def _by_index(self, kind: str) -> dict[int, float]:
        sums: dict[int, float] = defaultdict(float)
        for kernel in self.kernels:
            if kernel.owner.kind == kind:
                sums[kernel.owner.index] += kernel.seconds
        return dict(sums)


def tag_model(
    model: onnx.ModelProto, graph: ModelGraph, int8: frozenset[int] = frozenset()
) -> onnx.ModelProto:
    """Return a copy whose node and tensor names say which unit or switch they belong to.

    Kernels are named after the nodes and tensors that they were fused from, so their names then lead
    back. Names of graph inputs and outputs stay.

    Parameters
    ----------
    model
        `graph.model`, or the same with the units of `int8` quantized.
    """
    tagged = onnx.ModelProto()
    tagged.CopyFrom(model)
    owners = _node_owners(model, graph, int8)
    fixed = {v.name for v in (*model.graph.input, *model.graph.output)}
    fixed |= {init.name for init in model.graph.initializer}
    fixed |= {name for node in model.graph.node for name in captures(node)}
    renamed: dict[str, str] = {}
    for number, node in enumerate(tagged.graph.node):
        owner = owners[node.name]
        tag = f"@{owner.kind}{owner.index}@{number}"
        node.name = tag
        for inner in (nested for body in bodies(node) for nested in all_nodes(body)):
            inner.name = f"{_NESTED}{inner.op_type}"
        for place, name in enumerate(node.output):
            if name and name not in fixed:
                renamed[name] = node.output[place] = f"{tag}.{place}"
    for node in tagged.graph.node:
        for place, name in enumerate(node.input):
            node.input[place] = renamed.get(name, name)
    del tagged.graph.value_info[:]
    return tagged


def read_kernels(profile: Path, optimized: Path) -> KernelTimes:
    """Return the kernels of a tagged model from the runtime's profile and the graph that it ran.

    Parameters
    ----------
    profile
        The JSON that the session wrote.
    optimized
        The optimized model that the session wrote; tells the neighbours of unnamed layout kernels.
    """
    micros: dict[str, list[float]] = defaultdict(list)
    op_types: dict[str, str] = {}
    for event in _kernel_events(profile):
        kernel = event["name"].removesuffix(_SUFFIX)
        if _NESTED in kernel:
            continue
        micros[kernel].append(float(event["dur"]))
        op_types[kernel] = event["args"]["op_name"]
    # The external data of the optimized model is not needed: only names are read.
    neighbours = _neighbours(onnx.load(optimized, load_external_data=False))
    return KernelTimes(
        tuple(
            Kernel(name, op_types[name], _owner(name, neighbours), middle_mean(times) * _MICRO)
            for name, times in micros.items()
        )
    )


def read_op_types(profile: Path) -> list[str]:
    """Return the operator type of every kernel that ran, from the runtime's profile of one run."""
    return [str(event["args"]["op_name"]) for event in _kernel_events(profile)]


def _kernel_events(profile: Path) -> Iterator[dict[str, Any]]:
    for event in json.loads(profile.read_text()):
        if event.get("cat") == "Node" and str(event.get("name", "")).endswith(_SUFFIX):
            yield event


def _node_owners(model: onnx.ModelProto, graph: ModelGraph, int8: frozenset[int]) -> dict[str, Owner]:
    unit_of = {node: unit.index for unit in graph.units for node in unit.nodes}
    owners = {node.name: Owner("u", unit_of[node.name]) for node in model.graph.node if node.name in unit_of}
    switches = _switch_owners(graph, int8)
    readers: dict[str, int] = {}
    for node in model.graph.node:
        for name in node.input:
            if node.name in unit_of:
                readers.setdefault(name, unit_of[node.name])
    for node in model.graph.node:
        if node.name not in owners:
            owners[node.name] = _qdq_owner(node, switches, readers, graph)
    return owners


def _switch_owners(graph: ModelGraph, int8: frozenset[int]) -> dict[tuple[str, str], Owner]:
    """Return (op type, quantized tensor) -> owner of its QuantizeLinear or DequantizeLinear."""
    floats = [name for name in graph.boundary() if graph.tensors[name].is_float]
    owners = {}
    for place, name in enumerate(floats):
        if name not in graph.outputs and not graph.consumers(name):
            continue  # an input or output that nothing reads
        producer, consumers = graph.producer(name), graph.consumers(name)
        inside = producer in int8
        owners["QuantizeLinear", name] = (
            Owner("u", producer) if inside and producer is not None else Owner("q", place)
        )
        back = name in graph.outputs or not int8.issuperset(consumers)
        owners["DequantizeLinear", name] = Owner("d", place) if back else Owner("u", consumers[0])
    return owners


def _qdq_owner(
    node: onnx.NodeProto,
    switches: Mapping[tuple[str, str], Owner],
    readers: Mapping[str, int],
    graph: ModelGraph,
) -> Owner:
    quantized = node.output[0] if node.op_type == "QuantizeLinear" else node.input[0]
    tensor = quantized.removesuffix(QUANTIZED_SUFFIX)
    if (node.op_type, tensor) in switches:
        return switches[node.op_type, tensor]
    if node.output[0] in readers:  # a weight, or a tensor inside a unit
        return Owner("u", readers[node.output[0]])
    inner = next((u.index for u in graph.units if tensor in _written(u.nodes, graph)), None)
    return Owner("", 0) if inner is None else Owner("u", inner)


def _written(nodes: tuple[str, ...], graph: ModelGraph) -> set[str]:
    inside = set(nodes)
    return {name for node in graph.model.graph.node if node.name in inside for name in node.output}


def _neighbours(model: onnx.ModelProto) -> dict[str, tuple[list[str], list[str]]]:
    """Return node -> names of the nodes before and behind it."""
    writer = {name: node.name for node in model.graph.node for name in node.output if name}
    before = {node.name: [writer[n] for n in node.input if n in writer] for node in model.graph.node}
    behind: dict[str, list[str]] = {node.name: [] for node in model.graph.node}
    for name, sources in before.items():
        for source in sources:
            behind[source].append(name)
    return {name: (before[name], behind[name]) for name in before}


def _owner(kernel: str, neighbours: Mapping[str, tuple[list[str], list[str]]]) -> Owner:
    """Return the owner by the kernel's own tag, else by those of its neighbours.

    A layout kernel beside a switch belongs to the switch, else to the unit that reads its result.
    """
    own = _tag(kernel)
    if own is not None or kernel not in neighbours:
        return own or Owner("", 0)
    before, behind = neighbours[kernel]
    near = [tag for tag in map(_tag, (*behind, *before)) if tag is not None]
    return next((tag for tag in near if tag.kind in "qd"), near[0] if near else Owner("", 0))


def _tag(name: str) -> Owner | None:
    found = _TAG.search(name)
    return None if found is None else Owner(found[1], int(found[2]))
