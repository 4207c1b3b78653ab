"""`.tflite` models by the numbers of their units: loaded and cut."""

from profiling.litert.cut import cut
from profiling.litert.load import load_litert
from profiling.litert.shapes import with_shapes
from profiling.litert.unit_graph import build_litert_graph


def load_graph(path):
    """Return the units of a file."""
    return build_litert_graph(with_shapes(load_litert(path), {}))


def cut_units(parted, stages):
    """Return stages of units, in running order, of a graph or a quantized model."""
    return cut(parted.model, [parted.operators_of(units) for units in stages], parted.shared)
