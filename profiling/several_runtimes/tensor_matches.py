"""Tensors that exist in two models of one network: equal values on the same samples, up to axes and rounding.

Names are no proof: converters rename and fuse. Values of real samples and of random ones are.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from profiling.arrays import Array
from profiling.several_runtimes.joint_blocks import OwnTensor

Values = Sequence[Array]
"""A tensor on each sample."""

_ROUNDING = 1e-3  # relative RMS: runtimes differ by 1e-7 to 1e-5, other tensors by 1e-2 and more
_ALIKE = 0.99  # share of one value up to which a tensor can be told from others
_MATRIX = 3  # rank from which on axes may differ


def match_tensors(first: Mapping[str, Values], other: Mapping[str, Values]) -> dict[str, OwnTensor]:
    """Return the first model's name of a tensor -> the other's; each is in at most one pair.

    Where several are equal, one of them only passes on what another has, and the earliest are paired.

    Parameters
    ----------
    first, other
        Tensor -> its values, in running order, on the same samples.
    """
    matches: dict[str, OwnTensor] = {}
    free = {name: values for name, values in other.items() if _can_be_told(values)}
    for name, values in first.items():
        if not _can_be_told(values):
            continue
        found = next(_equal(values, free), None)
        if found is not None:
            matches[name] = found
            del free[found.name]
    return matches


def have_equal_values(first: Values, other: Values) -> bool:
    """Return whether two tensors are equal up to rounding, where both are finite."""
    pairs = [
        (a, b) for a, b in zip(first, other, strict=True) if np.isfinite(a).all() and np.isfinite(b).all()
    ]
    return not pairs or _same([a for a, _ in pairs], [b for _, b in pairs], _rms([a for a, _ in pairs]))


def _can_be_told(values: Values) -> bool:
    """Return whether a tensor is finite, and not nearly one number: such are alike by chance."""
    joined = np.concatenate([np.ravel(one) for one in values]).astype(np.float64)
    if not joined.size or not np.isfinite(joined).all():
        return False
    _, counts = np.unique(joined, return_counts=True)
    return bool(counts.max() <= _ALIKE * joined.size)


def _equal(values: Values, others: Mapping[str, Values]) -> Iterator[OwnTensor]:
    scale = _rms(values)
    for name, candidate in others.items():
        if sorted(candidate[0].shape) != sorted(values[0].shape):
            continue
        if abs(_rms(candidate) - scale) > _ROUNDING * scale:
            continue
        for axes in _orders(candidate[0].ndim):
            moved = [np.transpose(one, axes) for one in candidate]
            if _same(values, moved, scale):
                yield OwnTensor(name, axes)
                break


def _orders(rank: int) -> Iterator[tuple[int, ...]]:
    """Yield the orders of axes in which runtimes differ: the same, channels last, channels first."""
    same = tuple(range(rank))
    yield same
    if rank >= _MATRIX:
        yield (0, *range(2, rank), 1)
        yield (0, rank - 1, *range(1, rank - 1))


def _same(values: Values, others: Values, scale: float) -> bool:
    if any(a.shape != b.shape for a, b in zip(values, others, strict=True)):
        return False
    return _rms([a.astype(np.float64) - b for a, b in zip(values, others, strict=True)]) <= _ROUNDING * scale


def _rms(values: Values) -> float:
    squares = sum(float(np.square(one.astype(np.float64)).sum()) for one in values)
    return float(np.sqrt(squares / sum(one.size for one in values)))
