"""The boxes that a detector's outputs hold, in each of the forms in which it may give them."""

from dataclasses import dataclass

import numpy as np

from planner.errors import DataError
from planner.metrics.annotated_picture import Placement
from planner.metrics.non_max_suppression import non_max_suppression
from planner.metrics.output_form import (
    DETECTION,
    OBJECTNESS,
    SIDES,
    Form,
    Outputs,
    box_format_of,
    shape_text,
)
from planner.scenario.metric_schema import CocoApSpec
from profiling.arrays import Array

_STRIDES = ((8, 16, 32), (8, 16, 32, 64))
_MOST_CANDIDATES = 1000  # of a picture, before boxes that overlap are left out
_LARGEST_LOGARITHM = 20.0


@dataclass(frozen=True, slots=True)
class Detections:
    """Boxes on one picture: x1, y1, x2, y2 in pixels of the input."""

    corners: Array
    scores: Array
    classes: Array


def read_detections(outputs: Outputs, form: Form, placement: Placement, spec: CocoApSpec) -> Detections:
    """Return the boxes that a detector gives for one picture, without those that a better one overlaps.

    Raises
    ------
    DataError
        If the outputs do not have the shapes of their form.
    """
    if form.name == "detections":
        return _finished(outputs, form, placement, spec)
    if form.name == "boxes_scores":
        boxes, scores = _rows(outputs, form.boxes, SIDES), _table(outputs, form.scores)
    elif form.name == "yolov8":
        table = _yolov8_table(outputs, form)
        boxes, scores = table[:, :SIDES], table[:, SIDES:]
    else:
        table = _table(outputs, form.boxes)
        if table.shape[1] <= SIDES + OBJECTNESS:
            raise _misfit(outputs, form)
        boxes = table[:, :SIDES]
        scores = table[:, SIDES : SIDES + OBJECTNESS] * table[:, SIDES + OBJECTNESS :]
        if form.name == "yolox_raw":
            boxes = _from_grid(boxes, placement)
    if len(boxes) != len(scores):
        raise _misfit(outputs, form)
    return _best(_corners(boxes, box_format_of(form, spec), placement, spec), scores, spec)


def _yolov8_table(outputs: Outputs, form: Form) -> Array:
    """Return a row for each box, however the tensor lies."""
    table = _table(outputs, form.boxes)
    rows, columns = table.shape
    width = min(rows, columns) if form.class_count is None else SIDES + form.class_count
    if rows == width or (columns != width and rows < columns):
        table = table.T
    if table.shape[1] <= SIDES:
        raise _misfit(outputs, form)
    return table


def _finished(outputs: Outputs, form: Form, placement: Placement, spec: CocoApSpec) -> Detections:
    """Return boxes that are chosen already; those padded with low scores are left out."""
    if form.scores:
        boxes = _rows(outputs, form.boxes, SIDES)
        scores, classes = outputs[form.scores].reshape(-1), outputs[form.classes].reshape(-1)
    else:
        table = _rows(outputs, form.boxes, DETECTION)
        boxes, scores, classes = table[:, :SIDES], table[:, SIDES], table[:, SIDES + 1]
    if not len(boxes) == len(scores) == len(classes):
        raise _misfit(outputs, form)
    corners = _corners(boxes, box_format_of(form, spec), placement, spec)
    kept = np.isfinite(corners).all(axis=1) & (scores > spec.score_threshold) & np.isfinite(classes)
    return Detections(corners[kept], scores[kept].astype(np.float64), classes[kept].round().astype(np.int64))


def _table(outputs: Outputs, name: str) -> Array:
    """Return an output of one picture without leading axes of 1: two axes."""
    value = outputs[name].astype(np.float64)
    return (
        value.reshape(value.shape[-2:])
        if value.ndim > 1 and value.size == np.prod(value.shape[-2:])
        else (value.reshape(-1, 1))
    )


def _rows(outputs: Outputs, name: str, width: int) -> Array:
    value = outputs[name]
    if value.shape[-1] != width:
        raise DataError(f"metric: output {name!r} {shape_text(value)} holds no rows of {width} numbers")
    return value.astype(np.float64).reshape(-1, width)


def _misfit(outputs: Outputs, form: Form) -> DataError:
    names = [name for name in (form.boxes, form.scores, form.classes) if name]
    shapes = ", ".join(f"{name!r} {shape_text(outputs[name])}" for name in names)
    return DataError(f"metric.form: {form.name} does not fit output {shapes}")


def _from_grid(raw: Array, placement: Placement) -> Array:
    """Return centres and sizes in pixels from offsets in the cells of grids."""
    for strides in _STRIDES:
        cells = [_cells(placement, stride) for stride in strides]
        if sum(map(len, cells)) == len(raw):
            step = np.concatenate(
                [np.full(len(grid), stride) for grid, stride in zip(cells, strides, strict=True)]
            )
            centres = (raw[:, :2] + np.concatenate(cells)) * step[:, None]
            return np.hstack([centres, np.exp(np.minimum(raw[:, 2:], _LARGEST_LOGARITHM)) * step[:, None]])
    raise DataError(
        f"metric.form: yolox_raw does not fit {len(raw)} boxes: strides 8, 16 and 32 make "
        f"{sum(len(_cells(placement, stride)) for stride in _STRIDES[0])} cells of an input of "
        f"{placement.width} x {placement.height}"
    )


def _cells(placement: Placement, stride: int) -> Array:
    ys, xs = np.mgrid[: placement.height // stride, : placement.width // stride]
    return np.asarray(np.stack([xs, ys], axis=-1).reshape(-1, 2))


def _corners(boxes: Array, box_format: str, placement: Placement, spec: CocoApSpec) -> Array:
    """Return x1, y1, x2, y2 in pixels of the input."""
    first, second = boxes[:, :2], boxes[:, 2:]
    if box_format == "yxyx":
        first, second = first[:, ::-1], second[:, ::-1]
    elif box_format == "xywh":
        second = first + second
    elif box_format == "cxcywh":
        first, second = first - second / 2, first + second / 2
    corners = np.hstack([first, second])
    sides = (placement.width, placement.height)
    return corners * np.array([*sides, *sides]) if spec.normalized else corners


def _best(corners: Array, scores: Array, spec: CocoApSpec) -> Detections:
    """Return each box with each class that it may be, without those that a better one overlaps."""
    whole = np.isfinite(corners).all(axis=1)
    box, kind = np.nonzero((scores > spec.score_threshold) & whole[:, None])
    order = np.argsort(-scores[box, kind], kind="stable")[:_MOST_CANDIDATES]
    box, kind = box[order], kind[order]
    kept = non_max_suppression(corners[box], scores[box, kind], kind, spec.iou_threshold)
    return Detections(corners[box[kept]], scores[box[kept], kind[kept]], kind[kept])


def of_each_picture(outputs: Outputs, count: int) -> list[dict[str, Array]]:
    """Return the outputs of each of some pictures, which were joined along the first axis."""
    parts = {name: np.split(value, count) for name, value in outputs.items()}
    return [{name: part[number] for name, part in parts.items()} for number in range(count)]
