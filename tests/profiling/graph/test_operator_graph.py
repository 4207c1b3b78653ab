from dataclasses import replace

from profiling.precision import Precision


def test_what_came_quantized_counts_as_int8_whatever_was_chosen(residual):
    first, *others = residual.graph.units
    graph = residual.graph.with_units(
        [replace(first, quantized=True, obstacle="is quantized already"), *others]
    )
    chosen = [Precision.FP32] * len(graph.units)
    assert graph.counted_precisions(chosen) == (Precision.INT8, *chosen[1:])
