"""Units of several runtimes in blocks: between two tensors that all of them have lies one block."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256

from profiling.graph.any_model import AnyModel
from profiling.graph.operator_graph import OperatorGraph, Unit, connected
from profiling.precision import Precision
from profiling.runtime_model import RuntimeModel
from profiling.several_runtimes.joint_blocks import JointBlock

_DIFFERENT = "its runtimes quantize different tensors around it"


@dataclass(frozen=True, slots=True)
class RuntimePart:
    """A model in one runtime, and what of it the blocks are.

    Parameters
    ----------
    units
        The units of each block, in running order.
    names
        Tensor between blocks -> this runtime's name of it.
    axes
        Tensor between blocks -> this runtime's axes in the order of the blocks' tensor.
    """

    model: RuntimeModel
    units: tuple[tuple[int, ...], ...]
    names: Mapping[str, str]
    axes: Mapping[str, tuple[int, ...]]

    @property
    def graph(self) -> OperatorGraph:
        """Its own units and tensors."""
        return self.model.graph

    @property
    def quantizes(self) -> bool:
        """Whether the runtime computes in integers at all."""
        return any(unit.can_be(Precision.INT8) for unit in self.graph.units)

    @property
    def tensor_names(self) -> dict[str, str]:
        """The runtime's name of a tensor -> the blocks' one."""
        return {own: name for name, own in self.names.items()}

    def block_of(self) -> dict[int, int]:
        """Return unit -> its block."""
        return {unit: block for block, units in enumerate(self.units) for unit in units}

    def inner_tensors(self, block: int) -> Iterator[str]:
        """Yield this runtime's tensors that do not leave a block."""
        inside, between = set(self.units[block]), set(self.names.values())
        for unit in self.units[block]:
            for name in self.graph.units[unit].outputs:
                if name not in between and inside.issuperset(self.graph.consumers(name)):
                    yield name

    def mix(self, blocks: Mapping[int, Precision]) -> dict[int, Precision]:
        """Return the precisions of units, given those of blocks; a unit that cannot be so stays in fp32."""
        chosen = {
            unit: precision
            for block, precision in blocks.items()
            for unit in self.units[block]
            if self.graph.units[unit].can_be(precision)
        }
        return dict(sorted(chosen.items()))


@dataclass(frozen=True, eq=False, kw_only=True)
class BlockGraph(OperatorGraph):
    """The blocks of a model in several runtimes; tensors have the names and axes of the first runtime.

    Parameters
    ----------
    parts
        Runtime -> the model there.
    """

    parts: Mapping[str, RuntimePart]

    @property
    def first(self) -> RuntimePart:
        """The model in the runtime whose tensors are the blocks'."""
        return next(iter(self.parts.values()))

    @cached_property
    def fp32_model(self) -> AnyModel:
        """The first runtime's model in float."""
        return self.first.graph.fp32_model

    @cached_property
    def model_sha256(self) -> str:
        """SHA-256 of the hashes of all runtimes' models."""
        return sha256(" ".join(p.graph.model_sha256 for p in self.parts.values()).encode()).hexdigest()

    def with_parts(self, parts: Mapping[str, RuntimePart], reasons: Mapping[str, str]) -> "BlockGraph":
        """Return the graph with other models of the same blocks, some of which, by name, stay in fp32."""
        units = tuple(_unit(unit.index, parts, unit, reasons.get(unit.name, "")) for unit in self.units)
        return replace(self.with_units(units), parts=parts)


def build_block_graph(models: Mapping[str, RuntimeModel], blocks: Iterable[JointBlock]) -> BlockGraph:
    """Return the blocks of a model in several runtimes.

    Parameters
    ----------
    models
        Runtime -> the model there; the first one's tensors are those of the blocks.
    blocks
        Of `join_blocks`, in an order in which they can run.
    """
    blocks = list(blocks)
    tensors = dict.fromkeys(name for block in blocks for name in (*block.inputs, *block.outputs))
    first = next(iter(models.values())).graph
    parts = {
        runtime: RuntimePart(
            model,
            tuple(tuple(block.units[runtime]) for block in blocks),
            {name: match.name for block in blocks for name, match in block.tensors[runtime].items()},
            {name: match.axes for block in blocks for name, match in block.tensors[runtime].items()},
        )
        for runtime, model in models.items()
    }
    plain = tuple(
        replace(_plain(index, block, first), coupled_with=_coupled(index, parts.values()))
        for index, block in enumerate(blocks)
    )
    units = tuple(_unit(unit.index, parts, unit, "") for unit in plain)
    return BlockGraph(
        units=units,
        tensors={name: first.tensors[name] for name in tensors},
        inputs=first.inputs,
        outputs=first.outputs,
        dag=connected(units, first.tensors),
        parts=parts,
    )


def _coupled(index: int, parts: Collection[RuntimePart]) -> tuple[int, ...]:
    """Return the blocks of units that have to compute in int8 beside those of a block, in any runtime."""
    found = set[int]()
    for part in parts:
        blocks = part.block_of()
        found.update(blocks[u] for unit in part.units[index] for u in part.graph.units[unit].coupled_with)
    return tuple(sorted(found - {index}))


def _plain(index: int, block: JointBlock, first: OperatorGraph) -> Unit:
    """Return a block under the name of its heaviest unit; what it can be is found by `_unit`."""
    inside = [first.units[unit] for unit in next(iter(block.units.values()))]
    return replace(
        max(inside, key=lambda unit: unit.weight_bytes),  # the first of those that weigh the same
        index=index,
        nodes=tuple(node for unit in inside for node in unit.nodes),
        op_types=tuple(op for unit in inside for op in unit.op_types),
        inputs=block.inputs,
        outputs=block.outputs,
        refused={},
        other_weight_bytes={},
    )


def _unit(index: int, parts: Mapping[str, RuntimePart], plain: Unit, reason: str) -> Unit:
    """Return a block with what all of its runtimes can make of it."""
    inside = {
        runtime: [part.graph.units[unit] for unit in part.units[index]] for runtime, part in parts.items()
    }
    obstacle = reason or _obstacle(plain, parts, inside)
    every = [unit for units in inside.values() for unit in units]

    def most(precision: Precision) -> int:
        return max(sum(unit.weight_bytes_in(precision) for unit in units) for units in inside.values())

    return replace(
        plain,
        weight_bytes=most(Precision.FP32),
        weight_bytes_int8=most(Precision.INT8),
        weight_bytes_int16=most(Precision.INT16),
        obstacle=obstacle,
        quantized=any(unit.quantized for unit in every),
        scale_preserving=all(unit.scale_preserving for unit in every),
        kernel_forced=not obstacle
        and any(all(unit.kernel_forced for unit in units) for units in inside.values()),
    )


def _obstacle(plain: Unit, parts: Mapping[str, RuntimePart], inside: Mapping[str, Collection[Unit]]) -> str:
    """Return why a block has to stay in fp32; empty if all runtimes quantize it, and the same tensors."""
    touched = set[frozenset[str]]()
    for runtime, units in inside.items():
        if not parts[runtime].quantizes:
            continue
        if not any(unit.can_be(Precision.INT8) for unit in units):
            reasons = (unit.why_not(Precision.INT8) for unit in units)
            found = next(filter(None, reasons), "nothing of it is quantizable")
            return f"{found} ({runtime})"
        part = parts[runtime]
        names = {own for unit in units for own in part.graph.tensors_quantized_with(unit.index)}
        touched.add(frozenset(name for name in (*plain.inputs, *plain.outputs) if part.names[name] in names))
    return _DIFFERENT if len(touched) > 1 else ""
