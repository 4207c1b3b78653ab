"""Which units cannot be operators on integers in the file, or then compute other numbers than in int8."""

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import onnx

from profiling.arrays import Array, Feeds
from profiling.errors import ModelError, QuantizeError
from profiling.graph.operator_graph import Unit
from profiling.graph.unit_graph import ModelGraph
from profiling.noise.isolated_units import rms, rms_difference, run_all, walk_units
from profiling.on_device.create_session import Optimization
from profiling.onnx_io.extract import SubmodelExtractor
from profiling.precision import Precision
from profiling.quantization.qdq_model import QUANTIZED_SUFFIX
from profiling.quantization.qlinear_operators import unwritten_nodes, write_on_integers
from profiling.runtime.crash_journal import CrashJournal

log = logging.getLogger(__name__)

_PRECISION = Precision.INT8_QOPERATOR
_OVERFLOWS = (
    "operators on integers run at any optimization, and with the device's 8-bit weights they overflow on "
    "this machine, where plans are tried out"
)


@dataclass(frozen=True, slots=True)
class OperatorCheck:
    """Units that are tried out as operators on integers.

    Parameters
    ----------
    quantized
        The graph's model in int8, every unit in it that can be.
    label
        What the journal calls it.
    samples, level, journal
        As `profiling.noise.unit_check.UnitCheck` has them.
    """

    graph: ModelGraph
    quantized: onnx.ModelProto
    label: str
    samples: Sequence[Feeds]
    level: Optimization
    journal: CrashJournal

    def refused_units(self) -> dict[str, str]:
        """Return unit -> why it must not have the precision, for units that the graph offers it.

        A unit has it only if it then computes the bits that the runtime computes of it in int8: so its noise
        is known. Each runs alone in both, with what it reads in some samples; then all run together.
        """
        able = [unit for unit in self.graph.units if unit.can_be(_PRECISION)]
        if self.level is not Optimization.DEFAULT:
            return {unit.name: _OVERFLOWS for unit in able}
        unwritten = unwritten_nodes(self.quantized, [node for unit in able for node in unit.nodes])
        reasons = {
            unit.name: next(unwritten[node] for node in unit.nodes if node in unwritten)
            for unit in able
            if not unwritten.keys().isdisjoint(unit.nodes)
        }
        extractor = SubmodelExtractor(self.quantized)
        for unit, live in walk_units(self.graph, self.samples):
            if unit not in able or unit.name in reasons:
                continue
            read = {name: _before(extractor, name) for name in unit.inputs}
            part = extractor.extract(list(read.values()), [_behind(extractor, name) for name in unit.outputs])
            feeds = [{end: tensors[name] for name, end in read.items()} for tensors in live]
            if reason := self._fault(unit.name, part, unit.nodes, feeds, run_all(part, feeds)):
                reasons[unit.name] = reason
        reasons |= self._refused_together([unit for unit in able if unit.name not in reasons])
        for name, reason in reasons.items():
            log.info("unit %s does not become an operator on integers: %s", name, reason)
        return {name: f"in {_PRECISION}, {reason}" for name, reason in reasons.items()}

    def _refused_together(self, units: Sequence[Unit]) -> dict[str, str]:
        """Return units that compute otherwise beside others only: the runtime rewrites neighbourhoods.

        The first unit with which the model does is left out, until it does not; a bisection finds that unit.
        """
        able, reasons, expected = list(units), dict[str, str](), run_all(self.quantized, self.samples)

        def fault(count: int) -> str:
            nodes = [node for unit in able[:count] for node in unit.nodes]
            return self._fault(f"{count} units", self.quantized, nodes, self.samples, expected)

        while able and (reason := fault(len(able))):
            good, bad = 0, len(able)
            while bad - good > 1:
                middle = (good + bad) // 2
                earlier = fault(middle)
                good, bad, reason = (good, middle, earlier) if earlier else (middle, bad, reason)
            reasons[able.pop(bad - 1).name] = f"beside others, {reason}"
        return reasons

    def _fault(
        self,
        what: str,
        model: onnx.ModelProto,
        nodes: Collection[str],
        feeds: Sequence[Feeds],
        expected: Sequence[Mapping[str, Array]],
    ) -> str:
        """Return what is wrong with a model's numbers once some nodes are operators on integers."""
        if cause := self.journal.cause_of(f"{what} {self.label}"):
            return f"it ended ONNX Runtime ({cause})"
        written = onnx.ModelProto()
        written.CopyFrom(model)
        graph = self.graph.model.graph
        types = {value.name: value for value in (*graph.input, *graph.value_info, *graph.output)}
        with self.journal.entry(f"{what} {self.label}"):
            try:
                write_on_integers(written, nodes, types, QUANTIZED_SUFFIX)
                computed = run_all(written, feeds)
            except (ModelError, QuantizeError) as exc:
                return f"it does not run: {exc}"
        faults = (
            _difference(name, one[name], two[name])
            for one, two in zip(computed, expected, strict=True)
            for name in two
        )
        return next(filter(None, faults), "")


def _before(extractor: SubmodelExtractor, name: str) -> str:
    """Return what stands for a tensor before it is quantized: of a model's output, not the output."""
    nodes, writer = extractor.model.graph.node, extractor.writer
    if name not in writer or nodes[writer[name]].op_type != "DequantizeLinear":
        return name
    quantizer = nodes[writer[nodes[writer[name]].input[0]]]
    return str(quantizer.input[0])


def _behind(extractor: SubmodelExtractor, name: str) -> str:
    """Return what a unit hands on once a tensor is quantized: its integers."""
    integers = name + QUANTIZED_SUFFIX
    return integers if integers in extractor.writer else name


def _difference(name: str, actual: Array, expected: Array) -> str:
    """Return how an output differs from that in int8; empty if no bit does."""
    if actual.shape != expected.shape or actual.dtype != expected.dtype:
        return f"it gives {name!r} as {actual.dtype} {list(actual.shape)} instead of {list(expected.shape)}"
    if actual.tobytes() == expected.tobytes():
        return ""
    off = rms_difference(actual, expected) / (rms(expected) or 1)
    return f"it computes {name!r} otherwise than in int8, by {off:.2g} of its size"
