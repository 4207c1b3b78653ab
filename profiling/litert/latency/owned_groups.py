"""Operators of a quantized model in groups, each with the unit or conversion that it works for."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from profiling.litert.latency.time_in_place import Groups
from profiling.litert.quantize import QuantizedModel
from profiling.on_device.kernels import UNKNOWN_OWNER, Owner, OwnerKind
from profiling.on_device.measurement_order import SwitchTensor


class OwnedGroups(NamedTuple):
    """Groups of operators of a model, and the unit or switch that each works for."""

    owners: Sequence[Owner]
    groups: Groups


def owned_groups(parted: QuantizedModel, switches: Sequence[SwitchTensor]) -> OwnedGroups:
    """Return the groups of a quantized model whose seconds are those of its units and conversions.

    Parameters
    ----------
    switches
        Tensors that may change their precision: conversions are counted by their indices.
    """
    index_of = {tensor.name: index for index, tensor in enumerate(switches)}
    found = dict[int, tuple[Owner, tuple[int, ...]]]()  # by the first operator
    for unit, operators in enumerate(parted.operators):
        own = tuple(number for number in operators if number not in parted.conversions)
        if own:
            found[own[0]] = Owner(OwnerKind.UNIT, unit), own
    for number, owner in _conversions(parted, index_of):
        found[number] = owner, (number,)
    ordered = [found[first] for first in sorted(found)]
    shared = parted.shared - {operator for _, group in ordered for operator in group}
    groups = Groups(parted.model, [group for _, group in ordered], shared)
    return OwnedGroups([owner for owner, _ in ordered], groups)


def _conversions(parted: QuantizedModel, index_of: dict[str, int]) -> Iterator[tuple[int, Owner]]:
    model = parted.model
    for number, name in parted.conversions.items():
        source = model.reads[number][0]
        # Between two kinds of integers a conversion costs what one from the coarser to float does.
        is_float = model.element_type(source).name == "float32"
        kind = OwnerKind.QUANTIZE if is_float else OwnerKind.DEQUANTIZE
        yield number, Owner(kind, index_of[name]) if name in index_of else UNKNOWN_OWNER
