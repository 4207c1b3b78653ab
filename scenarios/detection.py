"""COCO pictures for YOLOX, letterboxed, and the average precision of its raw outputs."""

import contextlib
import io
import json
import os
from pathlib import Path

import numpy as np
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

_SIDE, _FILL = 416, 114
_STRIDES = (8, 16, 32)
_LEAST_SCORE, _MOST_OVERLAP, _MOST_BOXES = 0.01, 0.65, 100


class _Pictures:
    """Every picture whose position modulo 4 is in `positions`, as COCO annotation order has them."""

    positions: tuple[int, ...]

    def __init__(self) -> None:
        folder = Path(os.environ["SPLITQUANT_DATA"]) / "yolox_nano_coco128"
        annotations = json.loads((folder / "instances.json").read_text())
        known = [i for i in annotations["images"] if (folder / "images" / i["file_name"]).is_file()]
        chosen = [image for n, image in enumerate(known) if n % 4 in self.positions]
        boxes: dict[int, list[dict]] = {image["id"]: [] for image in chosen}
        for annotation in annotations["annotations"]:
            if annotation["image_id"] in boxes:
                boxes[annotation["image_id"]].append(annotation)
        self._paths = iter(folder / "images" / image["file_name"] for image in chosen)
        self.labels = [
            {"image": image, "boxes": boxes[image["id"]], "categories": annotations["categories"]}
            for image in chosen
        ]

    def get_next(self) -> dict[str, np.ndarray] | None:
        """Return the next letterboxed picture, or None behind the last."""
        path = next(self._paths, None)
        return None if path is None else {"images": letterbox(Image.open(path).convert("RGB"))}


class Calibration(_Pictures):
    """A quarter of the pictures."""

    positions = (0,)


class Evaluation(_Pictures):
    """The other three quarters."""

    positions = (1, 2, 3)


def letterbox(picture: Image.Image) -> np.ndarray:
    """Return 1 x 3 x 416 x 416 BGR pixels: scaled to fit, top left, the rest grey."""
    size = _size_inside(*picture.size)
    canvas = np.full((_SIDE, _SIDE, 3), _FILL, dtype=np.float32)
    canvas[: size[1], : size[0]] = np.asarray(picture.resize(size, Image.Resampling.BILINEAR))
    return canvas[None, :, :, ::-1].transpose(0, 3, 1, 2).copy()


def average_precision(outputs: dict[str, np.ndarray], labels: list[dict]) -> float:
    """Return COCO's AP (mean over overlaps .50 to .95) of raw YOLOX outputs [n, 3549, 85]."""
    truth, found = COCO(), []
    truth.dataset = {
        "info": {},
        "images": [label["image"] for label in labels],
        "annotations": [box for label in labels for box in label["boxes"]],
        "categories": labels[0]["categories"],
    }
    ids = sorted(category["id"] for category in labels[0]["categories"])
    for raw, label in zip(outputs["output"], labels, strict=True):
        image = label["image"]
        own = (image["width"], image["height"])
        scale = np.divide(_size_inside(*own), own)
        for box, score, category in _detections(raw, scale):
            found.append({"image_id": image["id"], "category_id": ids[category], "bbox": box, "score": score})
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        if not found:
            return 0.0
        judge = COCOeval(truth, truth.loadRes(found), "bbox")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return float(judge.stats[0])


def _size_inside(width: int, height: int) -> tuple[int, int]:
    """Return width and height of a picture in its letterbox, as `image.letterbox` of a scenario has them."""
    factor = _SIDE / max(width, height)
    return max(1, round(width * factor)), max(1, round(height * factor))


def _detections(raw: np.ndarray, scale: np.ndarray) -> list[tuple[list[float], float, int]]:
    """Return (x, y, width, height in the picture; score; class) of the boxes that stay."""
    corner, size = _decode(raw[:, :4])
    scores = raw[:, 4:5] * raw[:, 5:]
    anchor, category = np.nonzero(scores > _LEAST_SCORE)
    order = np.argsort(-scores[anchor, category])[:1000]
    kept: list[tuple[list[float], float, int]] = []
    taken: dict[int, list[np.ndarray]] = {}
    for a, c in zip(anchor[order], category[order], strict=True):
        box = np.concatenate([corner[a], corner[a] + size[a]])
        if all(_overlap(box, other) <= _MOST_OVERLAP for other in taken.get(c, [])):
            taken.setdefault(c, []).append(box)
            place = [float(v) for v in (*(corner[a] / scale), *(size[a] / scale))]
            kept.append((place, float(scores[a, c]), int(c)))
        if len(kept) == _MOST_BOXES:
            break
    return kept


def _decode(raw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return top left corners and sizes in letterbox pixels."""
    grids, strides = [], []
    for stride in _STRIDES:
        side = _SIDE // stride
        ys, xs = np.mgrid[:side, :side]
        grids.append(np.stack([xs, ys], axis=-1).reshape(-1, 2))
        strides.append(np.full((side * side, 1), stride))
    stride = np.concatenate(strides)
    centre = (raw[:, :2] + np.concatenate(grids)) * stride
    size = np.exp(np.clip(raw[:, 2:4], None, 10)) * stride
    return centre - size / 2, size


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    inner = np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None).prod()
    areas = (a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod()
    return float(inner / (areas - inner)) if areas > inner else 0.0
