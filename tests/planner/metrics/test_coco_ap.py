"""Whatever form a detector gives boxes in, its average precision is what pycocotools says of those boxes."""

import contextlib
import io
import sys

import numpy as np
import pytest

from planner.errors import DataError
from planner.metrics.annotated_picture import AnnotatedObject, AnnotatedPicture, Placement
from planner.metrics.coco_ap import CocoAp
from planner.scenario.metric_schema import CocoApSpec

SIDE, CLASSES, CELLS = 64, 3, 8 * 8 + 4 * 4 + 2 * 2
CATEGORIES = (4, 9, 17)
SIZES = ((50, 100), (100, 50), (64, 64), (128, 30))  # height, width


def placement(height: int, width: int) -> Placement:
    factor = SIDE / max(height, width)
    return Placement(factor, factor, (SIDE - width * factor) / 2, (SIDE - height * factor) / 2, SIDE, SIDE)


class Scene:
    """Pictures with objects, and boxes near them: centre and size in pixels of the input."""

    def __init__(self, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.boxes = np.empty((len(SIZES), CELLS, 4))
        self.scores = rng.random((len(SIZES), CELLS, CLASSES)).astype(np.float32)
        self.pictures = []
        for number, (height, width) in enumerate(SIZES):
            place = placement(height, width)
            self.boxes[number, :, :2] = rng.uniform(20, 44, (CELLS, 2))
            self.boxes[number, :, 2:] = rng.uniform(8, 30, (CELLS, 2))
            objects = []
            for cell in range(6):
                cx, cy, w, h = self.boxes[number, cell] + rng.normal(0, 1, 4)
                x, y = (cx - w / 2 - place.left) / place.scale_x, (cy - h / 2 - place.top) / place.scale_y
                x, y, w, h = max(x, 0.0), max(y, 0.0), w / place.scale_x, h / place.scale_y
                self.scores[number, cell, cell % CLASSES] += 1
                box = (x, y, min(w, width - x), min(h, height - y))
                objects.append(AnnotatedObject(CATEGORIES[cell % CLASSES], box, box[2] * box[3], cell == 5))
            self.pictures.append(AnnotatedPicture(width, height, place, tuple(objects), CATEGORIES))
        self.scores /= 2

    @property
    def corners(self) -> np.ndarray:
        centre, size = self.boxes[..., :2], self.boxes[..., 2:]
        return np.concatenate([centre - size / 2, centre + size / 2], axis=-1)


def expected(scene: Scene) -> float:
    """Average precision of all boxes with all classes, by pycocotools alone."""
    coco, cocoeval = pytest.importorskip("pycocotools.coco"), pytest.importorskip("pycocotools.cocoeval")
    truth, found, annotations = coco.COCO(), [], []
    for number, picture in enumerate(scene.pictures, start=1):
        for one in picture.objects:
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": one.category,
                    "bbox": list(one.box),
                    "area": one.area,
                    "iscrowd": int(one.is_crowd),
                }
            )
        place = picture.placement
        for cell, (x1, y1, x2, y2) in enumerate(scene.corners[number - 1]):
            left, right = (np.clip((x - place.left) / place.scale_x, 0, picture.width) for x in (x1, x2))
            top, bottom = (np.clip((y - place.top) / place.scale_y, 0, picture.height) for y in (y1, y2))
            for kind, score in enumerate(scene.scores[number - 1, cell]):
                if right > left and bottom > top:
                    box = [left, top, right - left, bottom - top]
                    found.append(
                        {
                            "image_id": number,
                            "category_id": CATEGORIES[kind],
                            "bbox": box,
                            "score": float(score),
                        }
                    )
    truth.dataset = {
        "info": {},
        "images": [{"id": n + 1, "width": p.width, "height": p.height} for n, p in enumerate(scene.pictures)],
        "annotations": annotations,
        "categories": [{"id": one} for one in CATEGORIES],
    }
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        judge = cocoeval.COCOeval(truth, truth.loadRes(found), "bbox")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return float(judge.stats[0])


def raw_grid(boxes: np.ndarray) -> np.ndarray:
    """Boxes as offsets in cells and logarithms of sizes, strides 8, 16, 32."""
    cells, strides = [], []
    for stride in (8, 16, 32):
        for y in range(SIDE // stride):
            for x in range(SIDE // stride):
                cells.append((x, y))
                strides.append(stride)
    step = np.array(strides)[:, None]
    return np.concatenate([boxes[..., :2] / step - cells, np.log(boxes[..., 2:] / step)], axis=-1)


def whole(boxes: np.ndarray, scores: np.ndarray) -> np.ndarray:
    return np.concatenate([boxes, np.ones_like(scores[..., :1]), scores], axis=-1).astype(np.float32)


def finished(scene: Scene) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A row for each box and class, some padding behind."""
    corners = np.repeat(scene.corners, CLASSES, axis=1)
    scores = scene.scores.reshape(len(SIZES), -1)
    classes = np.tile(np.arange(CLASSES), (len(SIZES), CELLS))
    padding = ((0, 0), (0, 5))
    return (
        np.pad(corners, (*padding, (0, 0))),
        np.pad(scores, padding),
        np.pad(classes, padding, constant_values=-1),
    )


def outputs(form: str, scene: Scene) -> dict[str, np.ndarray]:
    boxes, scores, corners = scene.boxes, scene.scores, scene.corners
    done, done_scores, done_classes = finished(scene)
    ids = np.take((*CATEGORIES, 0), done_classes)
    return {
        "yolox": {"output": whole(boxes, scores)},
        "yolox_raw": {"output": whole(raw_grid(boxes), scores)},
        "yolov8": {"output0": np.concatenate([boxes, scores], axis=-1).transpose(0, 2, 1)},
        "yolov8 turned": {"output0": np.concatenate([boxes, scores], axis=-1)},
        "yolov8 fractions": {"output0": np.concatenate([boxes / SIDE, scores], axis=-1)},
        "boxes_scores": {"boxes": corners, "scores": scores},
        "detections": {"boxes": done, "labels": done_classes, "scores": done_scores},
        "detections in one": {"y": np.dstack([done, done_scores, done_classes])},
        "detections by ids": {
            "detection_classes": ids.astype(np.float32),
            "detection_boxes": done[..., [1, 0, 3, 2]] / SIDE,
            "detection_scores": done_scores,
            "num_detections": np.full(len(SIZES), CELLS * CLASSES, np.float32),
        },
    }[form]


KEYS = {
    "yolov8 fractions": {"normalized": True},
    "detections in one": {"form": "detections"},
    "detections by ids": {"box_format": "yxyx", "normalized": True, "category_ids": "own"},
}
FORMS = (
    "yolox", "yolox_raw", "yolov8", "yolov8 turned", "yolov8 fractions", "boxes_scores", "detections",
    "detections in one", "detections by ids",
)  # fmt: skip


def metric(**keys) -> CocoAp:
    pytest.importorskip("pycocotools")
    return CocoAp(CocoApSpec(**{"name": "coco_ap", "iou_threshold": 1.0, "score_threshold": 0.0} | keys))


@pytest.mark.parametrize("form", FORMS)
def test_every_form_has_the_precision_of_its_boxes(form):
    scene = Scene()
    want = expected(scene)
    assert 0.2 < want < 0.95
    assert metric(**KEYS.get(form, {}))(outputs(form, scene), scene.pictures) == pytest.approx(want, abs=2e-3)


@pytest.mark.parametrize("form", ["yolox", "yolox_raw", "yolov8", "boxes_scores", "detections"])
def test_a_form_that_is_named_is_read_as_one_that_is_guessed(form):
    scene = Scene(1)
    values = outputs(form, scene)
    assert metric(form=form)(values, scene.pictures) == metric()(values, scene.pictures)


@pytest.mark.parametrize("form", FORMS)
def test_how_outputs_were_read_reads_them_again(form):
    scene = Scene(1)
    values = outputs(form, scene)
    judge = metric(**KEYS.get(form, {}))
    told = judge.reading(values, scene.pictures)
    keys = {key: getattr(told, key) for key in ("form", "box_format", "normalized", "iou_threshold")}
    names = {key: getattr(told, key) for key in ("boxes", "scores", "classes") if getattr(told, key)}
    ids = {"category_ids": told.category_ids or "own"}
    assert metric(**keys, **names, **ids)(values, scene.pictures) == judge(values, scene.pictures)
    assert judge.reading(values, None) is None


def test_boxes_of_other_formats_are_the_same_boxes():
    scene = Scene(2)
    want = metric()(outputs("boxes_scores", scene), scene.pictures)
    x1, y1, x2, y2 = np.moveaxis(scene.corners, -1, 0)
    for name, parts in {
        "yxyx": (y1, x1, y2, x2),
        "xywh": (x1, y1, x2 - x1, y2 - y1),
        "cxcywh": ((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1),
    }.items():
        values = {"boxes": np.stack(parts, axis=-1), "scores": scene.scores}
        assert metric(box_format=name)(values, scene.pictures) == pytest.approx(want, abs=1e-9)


def test_the_order_of_classes_may_be_given():
    scene = Scene(3)
    values = outputs("yolov8", scene)
    want = metric()(values, scene.pictures)
    turned = {"output0": values["output0"][:, [0, 1, 2, 3, 6, 5, 4]]}
    assert metric(category_ids=(17, 9, 4))(turned, scene.pictures) == pytest.approx(want, abs=1e-9)
    assert metric()(turned, scene.pictures) < want / 2


def test_the_same_boxes_twice_cost_nothing_once_overlaps_are_left_out():
    scene = Scene(4)
    values = outputs("boxes_scores", scene)
    doubled = {name: np.repeat(value, 2, axis=1) for name, value in values.items()}
    assert metric()(doubled, scene.pictures) < metric()(values, scene.pictures)
    strict = metric(iou_threshold=0.999)
    assert strict(doubled, scene.pictures) == pytest.approx(strict(values, scene.pictures), abs=1e-9)


@pytest.mark.parametrize("form", [None, "yolov8"])
def test_few_boxes_of_many_classes_are_told_from_classes_by_their_number(form):
    scene = Scene(6)
    few = np.concatenate([scene.boxes, scene.scores], axis=-1)[:, :5]
    scene.boxes, scene.scores = scene.boxes[:, :5], scene.scores[:, :5]
    want = expected(scene)
    for value in (few, few.transpose(0, 2, 1)):
        assert metric(form=form)({"y": value}, scene.pictures) == pytest.approx(want, abs=2e-3)


def test_numbers_that_are_none_are_no_boxes():
    scene = Scene(5)
    values = outputs("yolov8", scene)
    want = metric()(values, scene.pictures)
    bad = np.full((len(SIZES), 7, 2), np.nan)
    bad[:, :4, 1] = np.inf
    more = {"output0": np.concatenate([values["output0"], bad], axis=2)}
    assert metric()(more, scene.pictures) == pytest.approx(want, abs=1e-9)
    assert metric()({"output0": np.full_like(values["output0"], np.nan)}, scene.pictures) == 0.0


def test_without_annotations_there_is_no_precision():
    assert metric()(outputs("yolov8", Scene()), None) is None


SHAPES = {
    "fits nothing": ({"y": (4, 10, 9)}, {}, r"form: output 'y' \[1, 10, 9\] fits no form for 3 classes"),
    "two forms": (
        {"y": (4, 84, 8), "z": (4, 7, 20)},
        {},
        "may be yolox.* of 'y' or yolov8 of 'z'; say which",
    ),
    "no name": (
        {"a": (4, 9, 4), "b": (4, 9), "c": (4, 9)},
        {},
        r"metric\.scores: say which output holds",
    ),
    "no boxes": ({"scores": (4, 9), "classes": (4, 9)}, {}, r"metric\.boxes: say which output holds boxes"),
    "no such output": (
        {"y": (4, 7, 20)},
        {"boxes": "z"},
        r"boxes: the model has no output 'z'; it has y",
    ),
    "no grid": (
        {"y": (4, 50, 8)},
        {"form": "yolox_raw"},
        r"does not fit 50 boxes: .* 84 cells of .* 64 x 64",
    ),
    "too narrow": ({"y": (4, 50, 5)}, {"form": "yolox"}, r"form: yolox does not fit output 'y' \[1, 50, 5\]"),
    "a row": ({"y": (4, 50)}, {"form": "yolov8"}, r"form: yolov8 does not fit output 'y' \[1, 50\]"),
    "rows differ": (
        {"boxes": (4, 9, 4), "scores": (4, 8, 3)},
        {},
        r"boxes_scores does not fit output 'boxes' \[1, 9, 4\], 'scores' \[1, 8, 3\]",
    ),
    "lengths differ": (
        {"boxes": (4, 9, 4), "scores": (4, 8), "classes": (4, 9)},
        {},
        "detections does not fit output 'boxes'",
    ),
    "no classes": (
        {"boxes": (4, 9, 4), "scores": (4, 9)},
        {"form": "detections"},
        r"metric\.classes: say which",
    ),
}


@pytest.mark.parametrize("name", SHAPES)
def test_outputs_that_fit_no_form_cost_one_line(name):
    shapes, keys, message = SHAPES[name]
    values = {output: np.full(shape, 0.5, np.float32) for output, shape in shapes.items()}
    with pytest.raises(DataError, match=message) as told:
        metric(**keys)(values, Scene().pictures)
    assert "\n" not in str(told.value)


def test_pictures_without_objects_judge_nothing():
    bare = [AnnotatedPicture(64, 64, placement(64, 64), (), CATEGORIES)]
    with pytest.raises(DataError, match="no object is annotated on any of the 1 pictures"):
        metric()({"y": np.zeros((1, 7, 20))}, bare)


def test_a_detector_in_fp32_that_finds_nothing_is_read_wrongly():
    metric().check_fp32(0.2)
    metric().check_fp32(None)
    with pytest.raises(DataError, match="of the fp32 model is 0.0001, as if its boxes were read wrongly"):
        metric().check_fp32(1e-4)


def test_without_pycocotools_it_is_told_what_to_install(monkeypatch):
    for name in ("pycocotools", "pycocotools.cocoeval"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(DataError, match=r"coco_ap needs pycocotools, .*: pip install 'splitquant\[coco\]'"):
        CocoAp(CocoApSpec(name="coco_ap"))
