from dataclasses import replace

from profiling.precision import Precision


def test_a_unit_in_16_bits_between_int8_tensors_leaves_where_int8_would(branches):
    graph = branches.graph
    conv, pool, product, last = 2, 3, 4, 5
    assert graph.units[pool].coupled_with == (conv, product, last)
    for others in ([conv, product], [conv, product, last]):
        of_others = dict.fromkeys(others, Precision.INT8)
        resolved = graph.resolve_precisions(of_others | {pool: Precision.INT16})
        assert resolved == graph.resolve_precisions(of_others | {pool: Precision.INT8})
        assert (pool in resolved) == (last in others)


def test_what_came_quantized_counts_as_int8_whatever_was_chosen(residual):
    first, *others = residual.graph.units
    graph = residual.graph.with_units(
        [replace(first, quantized=True, obstacle="is quantized already"), *others]
    )
    chosen = [Precision.FP32] * len(graph.units)
    assert graph.counted_precisions(chosen) == (Precision.INT8, *chosen[1:])
