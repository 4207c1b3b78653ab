import numpy as np
import pytest

from planner.metrics.non_max_suppression import non_max_suppression


def overlap(a, b) -> float:
    """Intersection over union, one pair at a time."""
    inner = [max(0.0, min(a[i + 2], b[i + 2]) - max(a[i], b[i])) for i in (0, 1)]
    common = inner[0] * inner[1]
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return common / (sum(areas) - common) if common else 0.0


@pytest.mark.parametrize("seed", range(20))
def test_a_box_stays_if_none_that_stays_overlaps_it_more(seed):
    rng = np.random.default_rng(seed)
    corner, size = rng.uniform(0, 20, (30, 2)), rng.uniform(0, 15, (30, 2))
    boxes, scores, classes = np.hstack([corner, corner + size]), rng.random(30), rng.integers(0, 3, 30)
    limit = rng.uniform(0.1, 0.9)
    kept: list[int] = []
    for place in np.argsort(-scores):
        same = [other for other in kept if classes[other] == classes[place]]
        if all(overlap(boxes[place], boxes[other]) <= limit for other in same):
            kept.append(int(place))
    assert non_max_suppression(boxes, scores, classes, limit).tolist() == kept


def test_empty_boxes_overlap_nothing():
    nothing = np.zeros((3, 4))
    assert non_max_suppression(nothing, np.ones(3), np.zeros(3), 0.5).tolist() == [0, 1, 2]
    assert non_max_suppression(nothing[:0], np.ones(0), np.zeros(0), 0.5).tolist() == []
