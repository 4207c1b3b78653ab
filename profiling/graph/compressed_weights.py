"""What weights weigh once they are compressed: pruned ones shrink, in float and in int8."""

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
from onnx import TensorProto

from profiling.errors import ModelError
from profiling.graph.unit_graph import ModelGraph
from profiling.onnx_io.external_weights import iter_chunks
from profiling.onnx_io.extract import SubmodelExtractor
from profiling.onnx_io.subgraphs import all_initializers, all_inputs
from profiling.precision import Precision
from profiling.quantization.calibration import Calibration
from profiling.quantization.node_form import with_forms
from profiling.quantization.node_forms import FORMS
from profiling.quantization.qdq_model import quantize

_LEVEL = 6  # zlib's default
_QUANTIZED = "_quantized"  # the tool's names of a weight's integers, and of what belongs to them
_BESIDE = ("_scale", "_zero_point", "_quantized_scale", "_quantized_zero_point")


@dataclass(frozen=True, slots=True)
class CompressedUnit:
    """Bytes of one unit's weights in each precision, each weight compressed by itself (zlib).

    Parameters
    ----------
    others
        In precisions with float tensors, those that the unit can have.
    """

    name: str
    fp32: int
    int8: int
    int16: int
    others: dict[Precision, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CompressedWeights:
    """What the weights of every unit of a model weigh compressed."""

    units: tuple[CompressedUnit, ...]


def compress_weights(graph: ModelGraph, calibration: Calibration) -> tuple[CompressedUnit, ...]:
    """Return what each unit's weights weigh when they are compressed, as they are and quantized.

    Parameters
    ----------
    calibration
        How units are quantized.
    """
    chosen = calibration.of(graph.quantizable_nodes)
    quantized = quantize(graph.model, chosen, calibration.ranges, graph.guarded_nodes)
    plain = {init.name: init for init in graph.model.graph.initializer}
    integers = {init.name: init for init in quantized.graph.initializer}
    owner = {name: unit.index for unit in graph.units for name in unit.nodes}
    units: dict[int, CompressedUnit] = {u.index: CompressedUnit(u.name, 0, 0, 0) for u in graph.units}
    for node in graph.model.graph.node:
        weights = [plain[name] for name in dict.fromkeys(all_inputs(node)) if name in plain]
        for weight in (*weights, *all_initializers(node)):
            plain_bytes = _size([weight])
            integer_parts = [integers[n] for n in _quantized_names(weight.name) if n in integers]
            int8_bytes = _size(integer_parts) if weight.name + _QUANTIZED in integers else plain_bytes
            before = units[owner[node.name]]
            units[owner[node.name]] = replace(
                before,
                fp32=before.fp32 + plain_bytes,
                int8=before.int8 + int8_bytes,
                # Biases stay in float beside activations of 16 bits.
                int16=before.int16 + (int8_bytes if len(weight.dims) > 1 else plain_bytes),
            )
    for precision in FORMS:
        for index, size in _bytes_in_form(graph, precision).items():
            units[index].others[precision] = size
    return tuple(units.values())


def _bytes_in_form(graph: ModelGraph, precision: Precision) -> dict[int, int]:
    """Return unit -> its compressed bytes, of units that can have a precision with float tensors."""
    able = [unit for unit in graph.units if unit.can_be(precision)]
    forms = {node: FORMS[precision] for unit in able for node in unit.nodes}
    extractor = SubmodelExtractor(with_forms(graph.model, forms))
    return {
        unit.index: _size(extractor.extract(unit.inputs, unit.outputs).graph.initializer) for unit in able
    }


def with_compressed(graph: ModelGraph, sizes: Iterable[CompressedUnit]) -> ModelGraph:
    """Return the graph with units whose weights weigh what they do compressed."""
    compressed: Mapping[str, CompressedUnit] = {unit.name: unit for unit in sizes}
    return replace(
        graph,
        stored_weight_bytes=tuple(
            {
                Precision.FP32: compressed[unit.name].fp32,
                Precision.INT8: compressed[unit.name].int8,
                Precision.INT16: compressed[unit.name].int16,
                **compressed[unit.name].others,
            }
            for unit in graph.units
        ),
    )


def _quantized_names(name: str) -> tuple[str, ...]:
    return (name + _QUANTIZED, *(name + ending for ending in _BESIDE))


def _size(weights: Iterable[TensorProto]) -> int:
    total = 0
    for weight in weights:
        packer = zlib.compressobj(_LEVEL)
        total += sum(
            len(packer.compress(np.ascontiguousarray(block).tobytes())) for block in iter_chunks(weight)
        )
        total += len(packer.flush())
    return total


class UncompressedWeights:
    """Part of a `RuntimeModel` whose weights are never compressed."""

    __slots__ = ()

    def compressed_weights(self, calibration: Calibration) -> tuple[CompressedUnit, ...]:
        """Refuse: what weights weigh compressed is known of ONNX models only.

        Raises
        ------
        ModelError
            Always.
        """
        raise ModelError(f"weights: compressed is known of ONNX models only ({calibration.scheme.label})")

    def with_compressed_weights(self, sizes: Sequence[CompressedUnit]) -> Self:
        """Return the model as it is."""
        del sizes
        return self
