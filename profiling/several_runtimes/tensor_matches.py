"""Tensors that exist in two models of one network: equal values on the same samples, up to axes and rounding.

Names are no proof: converters rename and fuse. Values of real samples and of random ones are.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf

import numpy as np

from profiling.arrays import Array
from profiling.several_runtimes.joint_blocks import OwnTensor

Values = Sequence[Array]
"""A tensor on each sample."""

_ROUNDING = 1e-3  # relative RMS: runtimes differ by 1e-7 to 1e-5, other tensors by 1e-2 and more
_EQUAL = 1e-5  # up to which differences say nothing of which tensors are more alike
_ALIKE = 0.99  # share of one value up to which a tensor can be told from others
_MATRIX = 3  # rank from which on axes may differ


@dataclass(frozen=True, slots=True)
class _Told:
    """A tensor that can be told from others."""

    name: str
    values: Values
    rms: float


def match_tensors(first: Mapping[str, Values], other: Mapping[str, Values]) -> dict[str, OwnTensor]:
    """Return the first model's name of a tensor -> the other's; each is in at most one pair.

    The most alike are paired first. Where several are equal, one of them only passes on what another has,
    and the earliest are paired.

    Parameters
    ----------
    first, other
        Tensor -> its values, in running order, on the same samples.
    """
    tensors, others = list(_told(first)), list(_told(other))
    pairs = sorted(
        (difference, i, j, axes)
        for i, tensor in enumerate(tensors)
        for j, candidate in enumerate(others)
        for difference, axes in _alike(tensor, candidate)
    )
    matches: dict[int, OwnTensor] = {}
    paired = set[int]()
    for _, i, j, axes in pairs:
        if i not in matches and j not in paired:
            matches[i] = OwnTensor(others[j].name, axes)
            paired.add(j)
    return {tensors[i].name: matches[i] for i in sorted(matches)}


def have_equal_values(first: Values, other: Values) -> bool:
    """Return whether two tensors are equal up to rounding, where both are finite."""
    pairs = [
        (a, b) for a, b in zip(first, other, strict=True) if np.isfinite(a).all() and np.isfinite(b).all()
    ]
    exact = [a for a, _ in pairs]
    return not pairs or _difference(exact, [b for _, b in pairs]) <= _ROUNDING * _rms(exact)


def _told(tensors: Mapping[str, Values]) -> Iterator[_Told]:
    for name, values in tensors.items():
        if _can_be_told(values):
            yield _Told(name, values, _rms(values))


def _can_be_told(values: Values) -> bool:
    """Return whether a tensor is finite, and not nearly one number: such are alike by chance."""
    joined = np.concatenate([np.ravel(one) for one in values]).astype(np.float64)
    if not joined.size or not np.isfinite(joined).all():
        return False
    _, counts = np.unique(joined, return_counts=True)
    return bool(counts.max() <= _ALIKE * joined.size)


def _alike(tensor: _Told, other: _Told) -> Iterator[tuple[float, tuple[int, ...]]]:
    """Yield how much two tensors differ, and the other's axes in the first one's order, if they are equal."""
    values, candidate = tensor.values, other.values
    if sorted(candidate[0].shape) != sorted(values[0].shape):
        return
    if abs(other.rms - tensor.rms) > _ROUNDING * tensor.rms:
        return
    for axes in _orders(candidate[0].ndim):
        difference = _difference(values, [np.transpose(one, axes) for one in candidate])
        if difference <= _ROUNDING * tensor.rms:
            yield (difference / tensor.rms if difference > _EQUAL * tensor.rms else 0.0), axes


def _orders(rank: int) -> Iterator[tuple[int, ...]]:
    """Yield the orders of axes in which runtimes differ: the same, channels last, channels first."""
    same = tuple(range(rank))
    yield same
    if rank >= _MATRIX:
        yield (0, *range(2, rank), 1)
        yield (0, rank - 1, *range(1, rank - 1))


def _difference(values: Values, others: Values) -> float:
    """Return the RMS of what two tensors differ by; infinite for other shapes."""
    if any(a.shape != b.shape for a, b in zip(values, others, strict=True)):
        return inf
    return _rms([a.astype(np.float64) - b for a, b in zip(values, others, strict=True)])


def _rms(values: Values) -> float:
    squares = sum(float(np.square(one.astype(np.float64)).sum()) for one in values)
    return float(np.sqrt(squares / sum(one.size for one in values)))
