"""What changes at a source or a sink for another device: a stage even where no unit runs there."""

from collections.abc import Iterator

from planner.problem.placement_problem import PlacementProblem
from planner.problem.tensors import FLOAT, Flow


def lone_switches(
    problem: PlacementProblem, flow: Flow, form: int, source: int, target: int, *, is_due: bool
) -> Iterator[tuple[int, float]]:
    """Yield (device, seconds) of what changes at the source before a link, and at the sink behind one.

    Where the device runs no unit, the tensor's way takes so much longer, and longer by the stage's start;
    else this is in the seconds of the stage of its units.

    Parameters
    ----------
    form
        The form in which the tensor goes from device to device.
    is_due
        Whether the reader is a sink.
    """
    if source == target:
        return
    way = flow.forms[form]
    is_quantized, is_wire = way.format != FLOAT, form in flow.wires
    if problem.vertices[flow.producer].is_terminal:
        if is_wire:
            yield source, _at(way.encode_s, source)
        elif is_quantized and not flow.converts_at_consumer:
            yield source, flow.quantize_s[way.format][source]
    if is_due and is_wire:
        yield target, _at(way.decode_s, target)
    elif is_due and is_quantized:
        quantized_s = flow.quantize_s[way.format][target] if flow.converts_at_consumer else 0.0
        yield target, quantized_s + flow.dequantize_s[way.format][target]


def _at(row: tuple[float, ...], device: int) -> float:
    """Return a device's seconds of a conversion, 0 where the form crosses as it is."""
    return row[device] if row else 0.0
