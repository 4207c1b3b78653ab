"""What is rounded in a quantized model: tensors between units, and the units' weights and inner tensors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import onnx

from profiling.graph.multiply_adds import multiplications_by_unit
from profiling.graph.operator_graph import Unit
from profiling.graph.unit_graph import ModelGraph
from profiling.noise.noise_blocks import FollowedChanges
from profiling.noise.noise_sources import NoiseSources
from profiling.precision import Precision
from profiling.quantization.calibration import Calibration
from profiling.quantization.fake_quantization import (
    TensorRounding,
    WeightRounding,
    tensor_roundings,
    weight_roundings,
)
from profiling.quantization.qdq_model import quantize


@dataclass(frozen=True, slots=True)
class RoundedSources:
    """What is rounded in a quantized model.

    Parameters
    ----------
    boundary
        The tensors between units whose noise is measured.
    units
        The names of the units whose noise is measured.
    """

    graph: ModelGraph
    tensors: Mapping[str, TensorRounding]
    weights: Mapping[str, WeightRounding]
    boundary: Sequence[str]
    units: frozenset[str]

    @classmethod
    def of(cls, graph: ModelGraph, calibration: Calibration, only: NoiseSources | None) -> "RoundedSources":
        """Return what `calibration` rounds in the graph, or only some of it."""
        chosen = calibration.of(graph.quantizable_nodes)
        quantized = quantize(graph.model, chosen, calibration.ranges, graph.guarded_nodes)
        tensors = tensor_roundings(quantized)
        boundary = [name for name in graph.boundary_tensors() if name in tensors]
        units = frozenset(unit.name for unit in graph.units if unit.can_be(Precision.INT8))
        every = cls(graph, tensors, weight_roundings(quantized), boundary, units)
        return every if only is None else every.restricted(only)

    def restricted(self, only: NoiseSources) -> "RoundedSources":
        """Return some of the sources."""
        boundary = [name for name in self.boundary if name in only.tensors]
        return replace(self, boundary=boundary, units=self.units & only.units)

    def of_unit(self, unit: Unit) -> tuple[list[TensorRounding], dict[str, onnx.TensorProto]]:
        """Return the roundings inside a unit: of its inner tensors and of its weights."""
        inside = set(unit.nodes)
        nodes = [node for node in self.graph.model.graph.node if node.name in inside]
        written = [name for node in nodes for name in node.output]
        inner = [self.tensors[n] for n in written if n in self.tensors and n not in unit.outputs]
        return inner, {
            n: self.weights[n].rounded(n) for node in nodes for n in node.input if n in self.weights
        }

    def changes(self) -> FollowedChanges:
        """Return what is followed through the model: each tensor and each unit."""
        units = self.graph.units
        written_before = {name: unit.index + 1 for unit in units for name in unit.outputs}
        places = [written_before.get(name, 0) for name in self.boundary]
        places += [unit.index for unit in units if unit.name in self.units]
        last_read = {name: unit.index for unit in units for name in unit.inputs}
        crossing = [0] * len(units)
        for name, last in last_read.items():
            for position in range(written_before.get(name, 0), last + 1):
                crossing[position] += 1
        return FollowedChanges(
            tuple(map(float, multiplications_by_unit(self.graph))), tuple(crossing), tuple(places)
        )
