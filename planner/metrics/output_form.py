"""The forms in which detectors give boxes, and which of them a model's outputs have."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from planner.errors import DataError
from planner.json_record import Record
from planner.scenario.metric_schema import CocoApSpec
from profiling.arrays import Array

SIDES, OBJECTNESS = 4, 1  # numbers of a box, and of its objectness
DETECTION = 6  # x1, y1, x2, y2, score, class
_LEAST_SIZE = 4.0  # pixels: sizes below are logarithms
_WORDS = {"scores": ("score", "conf"), "classes": ("class", "label", "categor")}

Outputs = Mapping[str, Array]


@dataclass(frozen=True, slots=True)
class Form:
    """How a detector's outputs are read.

    Parameters
    ----------
    boxes
        Output with the boxes; with all there is where one tensor holds it.
    scores, classes
        Outputs; empty where there are none.
    class_count
        Of the model; None if it is not known.
    """

    name: str
    boxes: str
    scores: str = ""
    classes: str = ""
    class_count: int | None = None


class DetectorOutputs(Record, frozen=True, kw_only=True):
    """How a detector's outputs were read, for who reads them elsewhere; names as in a scenario's `metric`.

    Parameters
    ----------
    boxes, scores, classes
        Outputs; empty where another one holds it.
    category_ids
        Category of each class; empty where the numbers of classes are categories.
    """

    form: str
    boxes: str
    scores: str
    classes: str
    box_format: str
    normalized: bool
    category_ids: tuple[int, ...]
    score_threshold: float
    iou_threshold: float


def saved_form(saved: DetectorOutputs) -> tuple[Form, CocoApSpec]:
    """Return how outputs are read, as a scenario's metric says it, from what was recorded of it."""
    count = len(saved.category_ids) or None
    form = Form(saved.form, saved.boxes, saved.scores, saved.classes, class_count=count)
    return form, CocoApSpec.model_validate(
        {
            "name": "coco_ap",
            "form": saved.form,
            "box_format": saved.box_format,
            "normalized": saved.normalized,
            "score_threshold": saved.score_threshold,
            "iou_threshold": saved.iou_threshold,
        }
    )


def box_format_of(form: Form, spec: CocoApSpec) -> str:
    """Return how a box is given: as the scenario says, else as is usual for the form."""
    usual = "xyxy" if form.name in ("boxes_scores", "detections") else "cxcywh"
    return spec.box_format or usual


def form_of(outputs: Outputs, class_count: int | None, spec: CocoApSpec) -> Form:
    """Return how outputs are read: as the scenario says, else as their shapes say.

    Parameters
    ----------
    outputs
        Of one picture, or of all.
    class_count
        Of the model; None if it is not known.

    Raises
    ------
    DataError
        If the outputs fit no form, or more than one.
    """
    for key in ("boxes", "scores", "classes"):
        name = getattr(spec, key)
        if name is not None and name not in outputs:
            raise DataError(f"metric.{key}: the model has no output {name!r}; it has {', '.join(outputs)}")
    if spec.form in ("yolox", "yolox_raw", "yolov8"):
        return Form(spec.form, spec.boxes or next(iter(outputs)), class_count=class_count)
    if spec.form is None and (whole := _of_one_tensor(outputs, class_count, spec)) is not None:
        return whole
    if spec.form == "detections" and (len(outputs) == 1 or _holds_all(outputs, spec)):
        return Form("detections", spec.boxes or next(iter(outputs)))
    return _of_several(outputs, spec)


def _holds_all(outputs: Outputs, spec: CocoApSpec) -> bool:
    return spec.boxes is not None and outputs[spec.boxes].shape[-1] == DETECTION


def _of_one_tensor(outputs: Outputs, class_count: int | None, spec: CocoApSpec) -> Form | None:
    """Return the form of the one output that holds boxes, scores and classes; None if no output does."""
    names = [spec.boxes] if spec.boxes is not None else list(outputs)
    found = [
        Form(form, name, class_count=class_count)
        for name in names
        for form in _fitting(outputs[name], class_count)
    ]
    if len(found) > 1:
        forms = " or ".join(f"{form.name} of {form.boxes!r}" for form in found)
        raise DataError(
            f"metric.form: the outputs may be {forms}; say which, and which output as metric.boxes"
        )
    if not found and len(outputs) == 1:
        name, value = next(iter(outputs.items()))
        raise DataError(
            f"metric.form: output {name!r} {shape_text(value)} fits no form for {class_count or 'unknown'} "
            "classes; give metric.form, or metric.category_ids: one for each class of the model"
        )
    return found[0] if found else None


def _fitting(value: Array, class_count: int | None) -> list[str]:
    """Return the forms that an output's shape fits: [pictures, A, B]."""
    if value.ndim != 3:  # noqa: PLR2004
        return []
    _, rows, columns = value.shape
    fitting = ["detections"] if columns == DETECTION else []
    if class_count is not None and columns == SIDES + OBJECTNESS + class_count:
        # Half of the sizes are below four pixels only if they are logarithms.
        fitting.append("yolox" if np.median(value[..., 2:SIDES]) >= _LEAST_SIZE else "yolox_raw")
    if class_count is not None and SIDES + class_count in (rows, columns):
        fitting.append("yolov8")
    return fitting


def _of_several(outputs: Outputs, spec: CocoApSpec) -> Form:
    """Return which outputs hold boxes, scores and classes."""
    boxes = spec.boxes or _only(
        [name for name, value in outputs.items() if value.ndim > 1 and value.shape[-1] == SIDES]
    )
    scores = spec.scores or _only(_named(outputs, "scores", boxes))
    classes = spec.classes or _only(_named(outputs, "classes", boxes))
    if classes == scores or spec.form == "boxes_scores":
        classes = ""
    missing = [key for key, name in (("boxes", boxes), ("scores", scores)) if not name]
    if spec.form == "detections" and not classes:
        missing.append("classes")
    if missing:
        shapes = ", ".join(f"{name} {shape_text(value)}" for name, value in outputs.items())
        raise DataError(f"metric.{missing[0]}: say which output holds {missing[0]}: {shapes}")
    return Form("detections" if classes else "boxes_scores", boxes, scores, classes)


def _named(outputs: Outputs, role: str, boxes: str) -> list[str]:
    return [name for name in outputs if name != boxes and any(word in name.lower() for word in _WORDS[role])]


def _only(names: list[str]) -> str:
    return names[0] if len(names) == 1 else ""


def shape_text(value: Array) -> str:
    """Return the shape of an output, of one picture or of all, for a message."""
    return str([1, *value.shape[1:]])
