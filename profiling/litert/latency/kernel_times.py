"""Seconds of the units and conversions of a quantized model, inside the whole."""

from collections.abc import Iterator, Sequence

from profiling.arrays import Feeds
from profiling.litert.latency.time_in_place import Groups, time_groups
from profiling.litert.quantize import QuantizedModel
from profiling.litert.table_access import tensors_of
from profiling.on_device.kernels import UNKNOWN_OWNER, Kernel, KernelTimes, Owner, OwnerKind
from profiling.on_device.measurement_order import SwitchTensor
from profiling.on_device.robust_statistics import interquartile_mean
from profiling.on_device.run_clock import RunClock


def kernel_times(
    parted: QuantizedModel,
    switches: Sequence[SwitchTensor],
    feeds: Feeds,
    rounds: int,
    clock: RunClock,
    threads: int,
) -> KernelTimes:
    """Return the seconds of each unit and each conversion of a quantized model.

    Parameters
    ----------
    switches
        Tensors that may change their precision: conversions are counted by their indices.
    rounds, clock, threads
        As `time_groups`.
    """
    owners, groups = _owned_groups(parted, switches)
    shared = parted.shared - {operator for group in groups for operator in group}
    found = time_groups(Groups(parted.model, groups, shared), feeds, rounds, clock, threads)
    return KernelTimes(tuple(_kernel(owner, runs) for owner, runs in zip(owners, found, strict=True)))


def _kernel(owner: Owner, runs: Sequence[float]) -> Kernel:
    return Kernel("", "", owner, max(0.0, interquartile_mean(runs)), tuple(runs))


def _owned_groups(
    parted: QuantizedModel, switches: Sequence[SwitchTensor]
) -> tuple[list[Owner], list[tuple[int, ...]]]:
    """Return owner and operators of all groups, in running order."""
    index_of = {tensor.name: index for index, tensor in enumerate(switches)}
    found = dict[int, tuple[Owner, tuple[int, ...]]]()  # by the first operator
    for unit, operators in enumerate(parted.operators):
        own = tuple(number for number in operators if number not in parted.conversions)
        if own:
            found[own[0]] = Owner(OwnerKind.UNIT, unit), own
    for number, owner in _conversions(parted, index_of):
        found[number] = owner, (number,)
    ordered = [found[first] for first in sorted(found)]
    return [owner for owner, _ in ordered], [group for _, group in ordered]


def _conversions(parted: QuantizedModel, index_of: dict[str, int]) -> Iterator[tuple[int, Owner]]:
    model = parted.model
    for number, name in parted.conversions.items():
        source = tensors_of(model.operators[number].inputs)[0]
        # Between two kinds of integers a conversion costs what one from the coarser to float does.
        is_float = model.element_type(source).name == "float32"
        kind = OwnerKind.QUANTIZE if is_float else OwnerKind.DEQUANTIZE
        yield number, Owner(kind, index_of[name]) if name in index_of else UNKNOWN_OWNER
