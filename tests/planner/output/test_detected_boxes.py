"""Boxes of a detector, in the pixels of the picture that it saw."""

import csv
import json

import numpy as np
import pytest
from delivered_plans import delivered

from planner.errors import DataError, OutputError
from planner.inputs.image_preprocessing import placement_in_input
from planner.metrics.annotated_picture import PlacedPicture
from planner.metrics.output_form import DetectorOutputs
from planner.output.detected_boxes import boxes_csv, boxes_json, found_boxes
from planner.output.plan_folder import write_export
from planner.output.run_exported import run_folder
from planner.plan.manifest import MANIFEST
from planner.scenario.data_schema import ImageSpec

SIDE, STRIDES = 64, (8, 16, 32)
DETECTOR = DetectorOutputs(
    form="yolox_raw", boxes="y", scores="", classes="", box_format="cxcywh", normalized=False,
    category_ids=(3, 9), score_threshold=0.1, iou_threshold=0.5,
)  # fmt: skip


def raw(*boxes: tuple[int, int, int, float, float, float, float, int, float]) -> dict[str, np.ndarray]:
    """Return raw YOLOX outputs: stride, column, row, offsets, logarithms of sizes, class, score."""
    rows = []
    for stride in STRIDES:
        for y in range(SIDE // stride):
            for x in range(SIDE // stride):
                row = [0.0] * 7
                for at, column, line, dx, dy, w, h, kind, score in boxes:
                    if (at, column, line) == (stride, x, y):
                        row[:5] = [dx, dy, w, h, 0.5]
                        row[5 + kind] = score / 0.5
                rows.append(row)
    return {"y": np.array([rows], np.float32)}


def test_a_box_lies_in_the_pixels_of_its_picture():
    """A cell's offset times the stride, a size's exponential times it, then the letterbox undone."""
    spec = ImageSpec(letterbox=SIDE, letterbox_at="centre")
    placed = PlacedPicture(200, 100, placement_in_input(100, 200, spec))
    outputs = raw((16, 1, 2, 0.5, 0.25, np.log(1.5), np.log(0.5), 1, 0.4), (8, 0, 0, 0, 0, 0, 0, 0, 0.05))
    (box,) = found_boxes(outputs, DETECTOR, placed, "a.png").boxes
    factor = SIDE / 200
    left, top = (1 + 0.5) * 16 - 1.5 * 16 / 2, (2 + 0.25) * 16 - 0.5 * 16 / 2 - (SIDE - 32) / 2
    assert (box.class_, box.category) == (1, 9)
    assert box.score == pytest.approx(0.4)
    values = (box.x, box.y, box.width, box.height)
    assert values == pytest.approx([v / factor for v in (left, top, 24, 8)], rel=1e-5)


def test_boxes_end_at_the_border_and_the_best_comes_first():
    placed = PlacedPicture(64, 64, placement_in_input(64, 64, ImageSpec()))
    outputs = raw((8, 0, 0, 0, 0, np.log(4), np.log(4), 0, 0.3), (32, 1, 1, 0, 0, 0, 0, 1, 0.8))
    found = found_boxes(outputs, DETECTOR, placed, "b.png")
    assert [box.score for box in found.boxes] == [pytest.approx(0.8), pytest.approx(0.3)]
    last = found.boxes[1]
    assert (last.x, last.y, last.width, last.height) == pytest.approx((0, 0, 16, 16))
    (entry,) = json.loads(boxes_json([found]))
    assert entry["boxes"][0]["class"] == 1
    rows = list(csv.DictReader(boxes_csv([found]).splitlines()))
    assert [(row["file"], row["category"]) for row in rows] == [("b.png", "9"), ("b.png", "3")]
    assert float(rows[1]["width"]) == pytest.approx(16)


def test_what_is_no_detector_or_no_picture_has_no_boxes(residual, tmp_path):
    known, built = delivered(residual)
    write_export(known, built, tmp_path / "plan")
    arrays = tmp_path / "x.npz"
    np.savez(arrays, **{name: np.zeros(shape, np.float32) for name, shape in _inputs(tmp_path).items()})
    with pytest.raises(OutputError, match="does not say how outputs are read"):
        run_folder(tmp_path / "plan", arrays, tmp_path / "boxes.json", None)
    manifest = json.loads((tmp_path / "plan" / MANIFEST).read_text())
    name = manifest["outputs"][0]["name"]
    manifest["detector"] = {key: getattr(DETECTOR, key) for key in DETECTOR.__struct_fields__} | {
        "boxes": name
    }
    (tmp_path / "plan" / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(DataError, match="boxes are in a picture's own pixels, and arrays do not say"):
        run_folder(tmp_path / "plan", arrays, tmp_path / "boxes.json", None)
    with pytest.raises(OutputError, match="a .json holds the model's boxes: leave --stage out"):
        run_folder(tmp_path / "plan", arrays, tmp_path / "boxes.json", 0)


def _inputs(folder) -> dict[str, tuple[int, ...]]:
    manifest = json.loads((folder / "plan" / MANIFEST).read_text())
    return {port["name"]: tuple(port["shape"]) for port in manifest["inputs"]}
