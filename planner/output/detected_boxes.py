"""The boxes that a detector finds on pictures, in the pixels of each picture, as JSON and as a table."""

import csv
import io
from collections.abc import Iterator, Sequence

import numpy as np

from planner.json_record import Record, to_json
from planner.metrics.annotated_picture import PlacedPicture
from planner.metrics.detector_outputs import read_detections
from planner.metrics.output_form import DetectorOutputs, Outputs, saved_form

_COLUMNS = ("file", "class", "category", "score", "x", "y", "width", "height")


class Box(Record, frozen=True, kw_only=True, rename={"class_": "class"}):
    """A box on a picture.

    Parameters
    ----------
    class_, category
        Number of the model's class, and the id of its category in the annotations.
    x, y
        Of the top left corner, in the picture's own pixels, as width and height.
    """

    class_: int
    category: int
    score: float
    x: float
    y: float
    width: float
    height: float


class PictureBoxes(Record, frozen=True, kw_only=True):
    """The boxes on a picture, highest score first; width and height are the picture's."""

    file: str
    width: int
    height: int
    boxes: tuple[Box, ...]


def found_boxes(
    outputs: Outputs, detector: DetectorOutputs, placed: PlacedPicture, file: str
) -> PictureBoxes:
    """Return what a detector finds on a picture, each box cut off at the picture's border.

    Parameters
    ----------
    outputs
        Output name -> array of one picture.

    Raises
    ------
    DataError
        If the outputs do not have the shapes of the detector's form.
    """
    form, spec = saved_form(detector)
    with np.errstate(invalid="ignore", over="ignore"):  # boxes that are no numbers are left out
        found = read_detections(outputs, form, placed.placement, spec)
        corners = placed.cut_off(found.corners)
    ids = detector.category_ids
    boxes = [
        Box(
            class_=number,
            category=ids[number] if ids else number,
            score=score,
            x=x1,
            y=y1,
            width=x2 - x1,
            height=y2 - y1,
        )
        for (x1, y1, x2, y2), score, number in zip(
            corners.tolist(), found.scores.tolist(), found.classes.tolist(), strict=True
        )
        if x2 > x1 and y2 > y1 and (not ids or 0 <= number < len(ids))
    ]
    boxes.sort(key=lambda box: -box.score)
    return PictureBoxes(file=file, width=placed.width, height=placed.height, boxes=tuple(boxes))


def boxes_json(pictures: Sequence[PictureBoxes]) -> str:
    """Return an entry for each picture, with its boxes."""
    return to_json(pictures) + "\n"


def boxes_csv(pictures: Sequence[PictureBoxes]) -> str:
    """Return a header and a row for each box."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(_COLUMNS)
    writer.writerows(_rows(pictures))
    return text.getvalue()


def _rows(pictures: Sequence[PictureBoxes]) -> Iterator[tuple[object, ...]]:
    for picture in pictures:
        for box in picture.boxes:
            numbers = (f"{value:.7g}" for value in (box.score, box.x, box.y, box.width, box.height))
            yield picture.file, box.class_, box.category, *numbers
