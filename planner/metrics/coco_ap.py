"""COCO's average precision: the mean over categories and overlaps from .50 to .95, as pycocotools has it."""

import contextlib
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from planner.errors import DataError
from planner.metrics.annotated_picture import AnnotatedPicture
from planner.metrics.detector_outputs import Detections, of_each_picture, read_detections
from planner.metrics.output_form import DetectorOutputs, Form, box_format_of, form_of
from planner.scenario.metric_schema import CocoApSpec
from profiling.arrays import Array

_LEAST = 1e-3  # of the fp32 model: a detector that is read wrongly finds nothing


class CocoAp:
    """The average precision of a detector's outputs; the labels are annotated pictures.

    Raises
    ------
    DataError
        If pycocotools is not installed.
    """

    def __init__(self, spec: CocoApSpec) -> None:
        self._spec = spec
        with _needed():
            import pycocotools.cocoeval  # noqa: F401

    def __call__(self, outputs: Mapping[str, Array], labels: Sequence[Any] | None) -> float | None:
        """Return the average precision; None without annotations.

        Raises
        ------
        DataError
            If the outputs fit no form, or no object is annotated.
        """
        if labels is None:
            return None
        if not any(not one.is_crowd for picture in labels for one in picture.objects):
            raise DataError(
                f"metric: no object is annotated on any of the {len(labels)} pictures that are judged (of "
                "data.calibration a quarter is); give more pictures"
            )
        categories = labels[0].categories
        form = form_of(outputs, self._class_count(categories), self._spec)
        pairs = zip(of_each_picture(outputs, len(labels)), labels, strict=True)
        with np.errstate(invalid="ignore", over="ignore"):  # boxes that are no numbers are left out
            found = [
                row
                for number, (part, picture) in enumerate(pairs)
                for row in self._found(number, part, picture, form)
            ]
        return _average_precision(labels, found)

    def reading(self, outputs: Mapping[str, Array], labels: Sequence[Any] | None) -> DetectorOutputs | None:
        """Return how outputs are read; None without annotations, which tell how many classes there are.

        Raises
        ------
        DataError
            If the outputs fit no form.
        """
        if not labels:
            return None
        spec, categories = self._spec, labels[0].categories
        form = form_of(outputs, self._class_count(categories), spec)
        ids = {"own": (), "sorted": tuple(categories)}
        return DetectorOutputs(
            form=form.name,
            boxes=form.boxes,
            scores=form.scores,
            classes=form.classes,
            box_format=box_format_of(form, spec),
            normalized=spec.normalized,
            category_ids=ids[spec.category_ids] if isinstance(spec.category_ids, str) else spec.category_ids,
            score_threshold=spec.score_threshold,
            iou_threshold=spec.iou_threshold,
        )

    def check_fp32(self, value: float | None) -> None:
        """Refuse an average precision of the fp32 model that no drop can be measured from.

        Raises
        ------
        DataError
            If it is next to nothing: its outputs or its input are not what the scenario says.
        """
        if value is not None and value < _LEAST:
            raise DataError(
                f"metric: coco_ap of the fp32 model is {value:.2g}, as if its boxes were read wrongly; check "
                "`image` (letterbox, channels, scaling), metric.form, box_format, normalized, category_ids"
            )

    def _class_count(self, categories: Sequence[int]) -> int | None:
        ids = self._spec.category_ids
        return None if ids == "own" else len(categories if ids == "sorted" else ids)

    def _found(
        self, number: int, outputs: Mapping[str, Array], picture: AnnotatedPicture, form: Form
    ) -> Iterator[dict[str, Any]]:
        """Yield what is found on a picture as COCO has it, cut off at the picture's border."""
        detections = read_detections(outputs, form, picture.placement, self._spec)
        ids = self._category_ids(detections, picture.categories)
        corners = picture.placed.cut_off(detections.corners)
        for (x1, y1, x2, y2), score, category in zip(
            corners.tolist(), detections.scores.tolist(), ids, strict=True
        ):
            if category is not None and x2 > x1 and y2 > y1:
                box = [x1, y1, x2 - x1, y2 - y1]
                yield {"image_id": number, "category_id": category, "bbox": box, "score": score}

    def _category_ids(self, detections: Detections, categories: Sequence[int]) -> list[int | None]:
        """Return the category of each box; None for classes that have none."""
        ids = self._spec.category_ids
        classes = detections.classes.tolist()
        if ids == "own":
            return [one if one in categories else None for one in classes]
        order = categories if ids == "sorted" else ids
        return [order[one] if 0 <= one < len(order) else None for one in classes]


@contextlib.contextmanager
def _needed() -> Iterator[None]:
    try:
        yield
    except ImportError as exc:
        raise DataError(
            "metric: coco_ap needs pycocotools, which is not installed: pip install 'splitquant[coco]'"
        ) from exc


def _average_precision(pictures: Sequence[AnnotatedPicture], found: list[dict[str, Any]]) -> float:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    if not found:
        return 0.0
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = _dataset(pictures)
        truth.createIndex()
        judge = COCOeval(truth, truth.loadRes(found), "bbox")
        # Small and large objects apart are not asked for.
        judge.params.areaRng, judge.params.areaRngLbl = [judge.params.areaRng[0]], ["all"]
        judge.evaluate()
        judge.accumulate()
    precision = judge.eval["precision"][..., -1]  # with the most detections on a picture, 100
    return float(precision[precision > -1].mean())  # -1 where a category has no objects


def _dataset(pictures: Sequence[AnnotatedPicture]) -> dict[str, Any]:
    """Return annotations as COCO has them; numbered from one, as its evaluation takes 0 for no object."""
    objects = [(number, one) for number, picture in enumerate(pictures) for one in picture.objects]
    return {
        "info": {},
        "images": [
            {"id": number, "width": picture.width, "height": picture.height}
            for number, picture in enumerate(pictures)
        ],
        "annotations": [
            {
                "id": place,
                "image_id": number,
                "category_id": one.category,
                "bbox": list(one.box),
                "area": one.area,
                "iscrowd": int(one.is_crowd),
            }
            for place, (number, one) in enumerate(objects, start=1)
        ],
        "categories": [{"id": category, "name": str(category)} for category in pictures[0].categories],
    }
