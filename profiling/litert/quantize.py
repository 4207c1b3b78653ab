"""Units to modes: one model in which each unit computes as asked, and what came of it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from profiling.errors import QuantizeError
from profiling.litert.calibration import Ranges
from profiling.litert.load import LitertModel, model_of, unique_name
from profiling.litert.modes import FP32, MODES, Mode, WeightUse
from profiling.litert.neutral_model import neutral_model, neutral_name, parse_quantized
from profiling.litert.quantizer import Request, run_quantizer, why_refused
from profiling.litert.table_access import OPTIONAL, builtin_code, listed, raw_name, tensors_of
from profiling.litert.unit_graph import LitertGraph

_NEUTRAL = re.compile(r"t(\d+)(.*)", re.DOTALL)  # the quantizer adds endings to names of tensors
_INTEGER_FORM = "_quantized"
_LEFT = "LiteRT's quantizer left it as it is, without a word"


@dataclass(frozen=True, eq=False)
class QuantizedModel:
    """A model with units in modes.

    Parameters
    ----------
    model
        Its inputs and outputs are those of the float model, with the same names.
    modes
        What each unit computes in now, as the file says.
    reasons
        Unit -> why it is not as it was asked to be.
    operators
        The operators of each unit, by number, with the conversions behind it.
    shared
        Operators that belong to no unit: conversions for those that read in float, weights unpacked.
    conversions
        Operator that converts a tensor between float and integers -> the source's name of the tensor.
    matched
        Operator of the float model -> the same one here.
    """

    model: LitertModel
    modes: tuple[Mode, ...]
    reasons: Mapping[int, str]
    operators: tuple[tuple[int, ...], ...]
    shared: frozenset[int]
    matched: Mapping[int, int]
    conversions: Mapping[int, str] = field(default_factory=dict)

    def operators_of(self, units: Sequence[int]) -> tuple[int, ...]:
        """Return the operators of some units, in running order."""
        return tuple(sorted(number for unit in units for number in self.operators[unit]))


def quantize_units(graph: LitertGraph, modes: Mapping[int, Mode], ranges: Ranges) -> QuantizedModel:
    """Return the model with some units in modes; a unit that cannot be stays in float, with the reason.

    Parameters
    ----------
    modes
        Unit -> mode; float for those that are not there.
    ranges
        Of the graph's model, by `calibrate_litert`; for static modes only.

    Raises
    ------
    QuantizeError
        If the quantizer fails on the model, or makes of it what nobody asked for.
    """
    reasons = {
        unit: reason
        for unit, mode in modes.items()
        if mode is not FP32 and (reason := why_not(graph, unit, mode, ranges))
    }
    asked = {unit: mode for unit, mode in modes.items() if mode is not FP32 and unit not in reasons}
    if not asked:
        return _as_it_is(graph, reasons)
    model = graph.model
    neutral = neutral_model(model)
    requests = [
        _request(model, number, mode) for unit, mode in asked.items() for number in graph.operators[unit]
    ]
    statistics = {neutral_name(t): (*ends, len(model.shape(t))) for t, ends in ranges.items()}
    content = run_quantizer(neutral.content, requests, statistics)
    found = model_of(parse_quantized(content, model.shown), model.shown)
    return _Reading(graph, found, neutral.origins).result(asked, reasons)


def why_not(graph: LitertGraph, unit: int, mode: Mode, ranges: Ranges) -> str:
    """Return why a unit cannot be asked to compute in a mode; empty if it can, as far as is known before."""
    if graph.units[unit].obstacle:
        return graph.units[unit].obstacle
    model = graph.model
    for number in graph.operators[unit]:
        operator, kind = model.operators[number], model.op_types[number]
        floats = [
            t
            for t in (*tensors_of(operator.inputs), *tensors_of(operator.outputs))
            if model.element_type(t).name == "float32" and not model.is_constant(t)
        ]
        if not floats:
            return f"{kind} computes on integers"
        code = builtin_code(model.tables.operatorCodes[operator.opcodeIndex])
        if reason := why_refused(code, mode):
            return f"{kind}: {reason}"
        unknown = [t for t in floats if t not in ranges and model.writers.get(t) not in graph.shared]
        if mode.is_static and unknown:
            return f"{model.names[unknown[0]]!r} has no finite range on the samples"
    return ""


def _as_it_is(graph: LitertGraph, reasons: Mapping[int, str]) -> QuantizedModel:
    model = graph.model
    return QuantizedModel(
        model=model,
        modes=(FP32,) * len(graph.units),
        reasons=reasons,
        operators=graph.operators,
        shared=graph.shared,
        matched={number: number for number in range(len(model.operators))},
    )


def _request(model: LitertModel, number: int, mode: Mode) -> Request:
    operator = model.operators[number]
    outputs = tuple(neutral_name(tensor) for tensor in tensors_of(operator.outputs))
    code = builtin_code(model.tables.operatorCodes[operator.opcodeIndex])
    return Request(outputs, code, mode)


class _Reading:
    """Reads what the quantizer made of a graph's model whose tensors were named by number."""

    def __init__(self, graph: LitertGraph, found: LitertModel, origins: Sequence[int]) -> None:
        self._graph, self._source = graph, graph.model
        self._number_to_source = origins
        # A file's own names: `names` has the signature's for inputs and outputs.
        self._origins = [self._origin(raw_name(found.graph, t)) for t in range(len(found.names))]
        self._model = found
        self._model = replace(found, inputs=self._inputs(), outputs=self._outputs())
        self._model = replace(self._model, names=self._names())
        self._numbers = self._matched()

    def result(self, asked: Mapping[int, Mode], reasons: Mapping[int, str]) -> QuantizedModel:
        """Return the model with what each unit computes in."""
        modes, reasons = [], dict(reasons)
        for unit in range(len(self._graph.units)):
            wanted = asked.get(unit, FP32)
            actual = self._mode(unit, wanted)
            if actual is not wanted:
                reasons[unit] = _LEFT
            modes.append(actual)
        operators, shared = self._owners()
        return QuantizedModel(
            model=self._model,
            modes=tuple(modes),
            reasons=reasons,
            operators=operators,
            shared=shared,
            matched=self._numbers,
            conversions=self._conversions(),
        )

    def _origin(self, name: str) -> tuple[int, str]:
        """Return the source's tensor that a tensor comes from, and the ending of its name."""
        match = _NEUTRAL.fullmatch(name)
        if match is None:
            raise QuantizeError(f"LiteRT's quantizer added a tensor {name!r} that nobody knows")
        return self._number_to_source[int(match[1])], match[2]

    def _inputs(self) -> dict[str, int]:
        """Return the source's keys -> tensor of the quantized model."""
        there = {self._origins[t][0]: t for t in tensors_of(self._model.graph.inputs)}
        return {key: there[tensor] for key, tensor in self._source.inputs.items()}

    def _outputs(self) -> dict[str, int]:
        """Return the source's keys -> tensor of the quantized model, of the type that it had.

        The quantizer leaves signatures behind, or hands over integers, where an output is read on.
        """
        given = set(tensors_of(self._model.graph.outputs))

        def form(origin: int) -> int:
            alike = [
                (bool(ending), tensor not in given, tensor)  # what is computed so, then what the caller gets
                for tensor, (source, ending) in enumerate(self._origins)
                if source == origin and self._type(tensor) == self._source.element_type(origin).name
            ]
            if not alike:
                name = self._source.names[origin]
                raise QuantizeError(f"LiteRT's quantizer changed the type of the output {name!r}")
            return min(alike)[-1]

        return {key: form(t) for key, t in self._source.outputs.items() if t in self._source.writers}

    def _names(self) -> tuple[str, ...]:
        """Return names as the source has them, inputs and outputs first: they are in float as before."""
        ends = {*self._model.inputs.values(), *self._model.outputs.values()}
        names = {tensor: self._source.names[self._origins[tensor][0]] for tensor in ends}
        taken = set(names.values())
        for tensor, (origin, ending) in enumerate(self._origins):
            if tensor not in names:
                name = self._source.names[origin] + ending
                name = name + _INTEGER_FORM if name in taken else name
                names[tensor] = unique_name(name, tensor, taken)
                taken.add(names[tensor])
        return tuple(names[tensor] for tensor in range(len(names)))

    def _matched(self) -> dict[int, int]:
        """Return operator of the source -> the same one here.

        The quantizer only adds operators, whose outputs have endings, and keeps the order of others.
        """
        there = [
            number
            for number, operator in enumerate(self._model.operators)
            if not any(self._origins[t][1] for t in tensors_of(operator.outputs))
        ]
        if [self._model.op_types[n] for n in there] != list(self._source.op_types):
            raise QuantizeError("LiteRT's quantizer changed operators of the model")
        return dict(enumerate(there))

    def _mode(self, unit: int, wanted: Mode) -> Mode:
        for mode in (wanted, FP32, *MODES):
            if all(self._computes_in(number, mode) for number in self._graph.operators[unit]):
                # Nothing of an operator without floats says that it is quantized.
                return mode
        name = self._graph.units[unit].name
        raise QuantizeError(f"LiteRT's quantizer left {name!r} with types that fit no mode")

    def _computes_in(self, number: int, mode: Mode) -> bool:
        source, here = self._source.operators[number], self._model.operators[self._numbers[number]]
        pairs = [
            (int(before), int(after))
            for old, new in ((source.inputs, here.inputs), (source.outputs, here.outputs))
            for before, after in zip(listed(old), listed(new), strict=True)
            if OPTIONAL not in (before, after) and self._source.element_type(int(before)).name == "float32"
        ]
        activations = [after for before, after in pairs if not self._is_weight(before)]
        weights = [after for before, after in pairs if self._is_weight(before)]
        if any(self._type(t) != mode.activation_type for t in activations):
            return False
        if mode is FP32:
            return all(self._type(t) == "float32" and not self._is_unpacked(t) for t in weights)
        if mode.is_static:
            return bool(activations) and all(self._type(t) != "float32" for t in weights)
        if mode.weight_use is WeightUse.UNPACKED:
            return any(self._is_unpacked(t, mode.weight_type) for t in weights)
        return any(self._type(t) == mode.weight_type for t in weights)

    def _is_weight(self, tensor: int) -> bool:
        source = self._source
        return source.is_constant(tensor) or source.writers.get(tensor) in self._graph.shared

    def _type(self, tensor: int) -> str:
        return self._model.element_type(tensor).name

    def _is_unpacked(self, tensor: int, weight_type: str | None = None) -> bool:
        """Whether a weight is computed by an added operator from one of a type."""
        writer = self._model.writers.get(tensor)
        if writer is None or writer in self._numbers.values():
            return False
        return weight_type in (None, self._type(tensors_of(self._model.operators[writer].inputs)[0]))

    def _conversions(self) -> dict[int, str]:
        """Return each added operator that converts what is computed or fed -> the source's tensor."""
        added = set(range(len(self._model.operators))) - set(self._numbers.values())
        origins = {n: self._origins[tensors_of(self._model.operators[n].inputs)[0]][0] for n in added}
        return {n: self._source.names[t] for n, t in origins.items() if not self._is_weight(t)}

    def _owners(self) -> tuple[tuple[tuple[int, ...], ...], frozenset[int]]:
        """Return the operators of each unit, and those that every stage copies.

        Integers are to cross a link: what makes them stays with what computes the tensor. What makes floats
        of them goes with whoever reads, and so does what brings them to the scale of one reader: others read
        them as they are.
        """
        owner = {here: self._graph.unit_of.get(number) for number, here in self._numbers.items()}
        outputs = set(self._model.outputs.values())
        for number, operator in enumerate(self._model.operators):
            if number in owner:
                continue
            writer = self._model.writers.get(tensors_of(operator.inputs)[0])
            behind = owner.get(writer) if writer is not None else None
            read_type = self._type(tensors_of(operator.inputs)[0])
            goes_with_reader = self._model.op_types[number] == "DEQUANTIZE" or read_type != "float32"
            is_output = bool(outputs.intersection(tensors_of(operator.outputs)))
            owner[number] = behind if is_output or not goes_with_reader else None
        operators = tuple(
            tuple(sorted(number for number, unit in owner.items() if unit == index))
            for index in range(len(self._graph.units))
        )
        return operators, frozenset(number for number, unit in owner.items() if unit is None)
