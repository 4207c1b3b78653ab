"""Where noise of a `.tflite` model adds up: at outputs, or before a last function that squashes numbers."""

from profiling.litert.unit_graph import LitertGraph
from profiling.noise.noise_taps import Tap

# A shift of all that a SOFTMAX reads changes nothing; LiteRT's run along the last axis.
_AXES = {"SOFTMAX": -1, "LOG_SOFTMAX": -1, "LOGISTIC": None}
_PASSING = frozenset(
    {"EXPAND_DIMS", "GATHER", "GATHER_ND", "PAD", "RESHAPE", "SLICE", "SPLIT", "SQUEEZE"}
    | {"STRIDED_SLICE", "TRANSPOSE", "UNPACK"}
)


def taps_of(graph: LitertGraph) -> tuple[Tap, ...]:
    """Return for each output where noise is summed: there, or at what its last SOFTMAX or LOGISTIC reads."""
    return tuple(_tap(graph, output) for output in graph.outputs)


def _tap(graph: LitertGraph, output: str) -> Tap:
    model = graph.model
    between = {name for unit in graph.units for name in unit.outputs}
    tap, name = Tap(output), output
    numbers = {known: tensor for tensor, known in enumerate(model.names)}
    while (writer := model.writers.get(numbers[name])) is not None:
        kind = model.op_types[writer]
        # SPLIT reads its axis first.
        read = [
            t
            for t in model.reads[writer]
            if model.element_type(t).name == "float32" and not model.is_constant(t)
        ]
        if kind not in _AXES.keys() | _PASSING or not read:
            break
        name = model.names[read[0]]
        if kind in _AXES and name in between:
            tap = Tap(name, _AXES[kind])
    return tap
