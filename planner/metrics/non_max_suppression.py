"""Of boxes that overlap, the one with the highest score."""

import numpy as np

from profiling.arrays import Array


def non_max_suppression(corners: Array, scores: Array, classes: Array, most_overlap: float) -> Array:
    """Return the places of the boxes that stay, highest score first.

    A box stays if none of its class that stays overlaps it by more (intersection over union).

    Parameters
    ----------
    corners
        x1, y1, x2, y2: shape [boxes, 4].

    Examples
    --------
    >>> boxes = np.array([[0.0, 0, 10, 10], [0, 0, 10, 9], [20, 20, 30, 30], [0, 0, 10, 10]])
    >>> non_max_suppression(boxes, np.array([0.8, 0.9, 0.7, 0.6]), np.array([0, 0, 0, 1]), 0.5)
    array([1, 2, 3])
    """
    order = np.argsort(-scores, kind="stable")
    stays = np.ones(len(order), dtype=bool)  # of the boxes in order
    for kind in np.unique(classes):
        of_kind = np.flatnonzero(classes[order] == kind)
        stays[of_kind] = _suppressed(corners[order[of_kind]], most_overlap)
    return np.asarray(order[stays])


def _suppressed(corners: Array, most_overlap: float) -> Array:
    """Return which boxes of a class, highest score first, stay."""
    overlaps = intersection_over_union(corners) > most_overlap
    stays = np.ones(len(corners), dtype=bool)
    for place in range(len(corners)):
        if stays[place]:
            stays[place + 1 :] &= ~overlaps[place, place + 1 :]
    return stays


def intersection_over_union(corners: Array) -> Array:
    """Return how much each box overlaps each; 0 where both are empty."""
    first, second = corners[:, None], corners[None]
    inner = np.minimum(first[..., 2:], second[..., 2:]) - np.maximum(first[..., :2], second[..., :2])
    common = np.clip(inner, 0, None).prod(axis=-1)
    areas = (corners[:, 2:] - corners[:, :2]).prod(axis=-1)
    union = areas[:, None] + areas - common
    overlaps: Array = np.divide(common, union, out=np.zeros_like(common), where=union > 0)
    return overlaps
