"""The scenarios on the pages about a user's own data run, and their labels mean what the pages say."""

import csv
import json
import wave
from pathlib import Path

import numpy as np
import onnx
import pytest
from documentation import DOCS, Page
from PIL import Image
from text_models import make

from planner.cli.commands import main

RNG = np.random.default_rng(0)
CLASSES = ("cat", "dog, large", "parrot")
COUNT = 12  # samples of each part
FILES = {
    block.mark("file"): block.text
    for name in ("your-own-data.md", "detectors.md")
    for block in Page(DOCS / "how-to" / name).blocks
    if block.mark("file") is not None
}
SCENARIOS = [name for name in FILES if name.endswith(".yaml")]


def save_pictures(folder: Path, names: list[str]) -> None:
    """Pictures of which the n-th is red, green or blue as n modulo 3 says."""
    for number, name in enumerate(names):
        pixels = RNG.integers(0, 60, (40, 36, 3)).astype(np.uint8)
        pixels[..., number % 3] += 120
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / name)


def save_classifier(path: Path) -> None:
    """A model that answers with the channel that is brightest."""
    text = (
        "(float[1,3,32,32] x) => (float[1,3] y) "
        "{ c = Conv(x, w) r = Relu(c) p = GlobalAveragePool(r) y = Flatten(p) }"
    )
    onnx.save(make(text, {"w": np.eye(3, dtype=np.float32)[..., None, None]}), path)


def classes_in_folders(here: Path) -> None:
    save_classifier(here / "classifier.onnx")
    for part in ("train", "test"):
        save_pictures(here / part, [f"{n % 3}-{CLASSES[n % 3]}/{n}.png" for n in range(COUNT)])


def classes_in_tables(here: Path) -> None:
    save_classifier(here / "classifier.onnx")
    for start, table in ((0, "labels.csv"), (COUNT, "test-labels.csv")):
        numbers = range(start, start + COUNT)
        save_pictures(here / "pictures", [f"{n}.png" for n in numbers])
        rows = "".join(f'{n}.png,"{CLASSES[n % 3]}"\n' for n in numbers)
        (here / table).write_text(f"filename,class\n{rows}")


def save_clips(here: Path) -> None:
    """Loud and quiet clips, some shorter than others."""
    for part in ("train-clips", "test-clips"):
        for number in range(COUNT):
            name, peak = (("loud", 16_000), ("quiet", 400))[number % 2]
            (here / part / name).mkdir(parents=True, exist_ok=True)
            with wave.open(str(here / part / name / f"{number}.wav"), "wb") as file:
                file.setparams((1, 2, 16_000, 0, "NONE", ""))
                file.writeframes((RNG.uniform(-peak, peak, 1500 + 20 * number)).astype("<i2").tobytes())


def clips_as_they_are(here: Path) -> None:
    save_clips(here)
    mean = np.full((1600, 1), 1 / 1600)
    text = "(float[1,1600] x) => (float[1,2] y) { a = Abs(x) y = Gemm(a, w, b) }"
    weights = {"w": np.float32(np.hstack([mean, -mean])), "b": np.float32([-0.05, 0.05])}
    onnx.save(make(text, weights), here / "keywords.onnx")


def clips_with_features(here: Path) -> None:
    save_clips(here)
    mean = np.full((16, 1), 1 / 16)
    text = "(float[1,16] x) => (float[1,2] y) { y = Gemm(x, w, b) }"
    weights = {"w": np.float32(np.hstack([mean, -mean])), "b": np.float32([6, -6])}
    onnx.save(make(text, weights), here / "energies.onnx")


def objects_on_pictures(here: Path) -> None:
    """White squares, each in one of the cells of a detector that gives the brightness of each cell."""
    pytest.importorskip("pycocotools")
    (here / "pictures").mkdir()
    images, annotations = [], []
    for number in range(2 * COUNT):
        pixels = RNG.integers(0, 20, (64, 128, 3)).astype(np.uint8)
        left, top = 16 * int(RNG.integers(8)), 16 * int(RNG.integers(4))
        pixels[top : top + 16, left : left + 16] = 255
        Image.fromarray(pixels).save(here / "pictures" / f"{number}.png")
        images.append({"id": number, "file_name": f"{number}.png", "width": 128, "height": 64})
        annotations.append({"image_id": number, "category_id": 7, "bbox": [left, top, 16, 16]})
    content = {"images": images, "annotations": annotations, "categories": [{"id": 7, "name": "square"}]}
    (here / "instances.json").write_text(json.dumps(content))
    rows, columns = (cells.ravel() * 8 + 4 for cells in np.mgrid[:8, :8])
    boxes = np.stack([columns, rows, np.full(64, 8), np.full(64, 8)]).astype(np.float32)[None]
    text = (
        "(float[1,3,64,64] x) => (float[1,5,64] y) <int64[3] s = {1, 1, 64}> "
        "{ c = Conv(x, w) p = AveragePool <kernel_shape = [8, 8], strides = [8, 8]> (c) "
        "q = Reshape(p, s) y = Concat <axis = 1> (boxes, q) }"
    )
    weights = {"w": np.full((1, 3, 1, 1), 1 / 3 / 255, np.float32), "boxes": boxes}
    onnx.save(make(text, weights), here / "detector.onnx")


PREPARE = {
    "folders.yaml": classes_in_folders,
    "table.yaml": classes_in_tables,
    "clips.yaml": clips_as_they_are,
    "features.yaml": clips_with_features,
    "detector.yaml": objects_on_pictures,
}


def test_every_scenario_of_the_pages_is_run():
    assert set(SCENARIOS) == PREPARE.keys()


def boxes_precision(here: Path) -> float:
    """Run a detector's plan on its evaluation pictures; return what pycocotools says of the boxes."""
    coco, cocoeval = pytest.importorskip("pycocotools.coco"), pytest.importorskip("pycocotools.cocoeval")
    run = ("run", str(here / "plan"), "--input")
    for source, target in (
        ("detector.yaml", "boxes.json"),
        ("pictures", "all.json"),
        ("pictures", "all.csv"),
    ):
        with pytest.raises(SystemExit) as done:
            main([*run, str(here / source), "--output", str(here / target)])
        assert not done.value.code
    pictures, every = (json.loads((here / name).read_text()) for name in ("boxes.json", "all.json"))
    by_file = {picture["file"]: picture for picture in every}
    assert len(every) > len(pictures)
    assert all(by_file[picture["file"]] == picture for picture in pictures)
    rows = list(csv.DictReader((here / "all.csv").read_text().splitlines()))
    assert len(rows) == sum(len(picture["boxes"]) for picture in every)
    truth = coco.COCO()
    truth.dataset = json.loads((here / "instances.json").read_text())
    numbers = {image["file_name"]: image["id"] for image in truth.dataset["images"]}
    for number, one in enumerate(truth.dataset["annotations"], start=1):
        one |= {"id": number, "area": one["bbox"][2] * one["bbox"][3], "iscrowd": 0}
    truth.createIndex()
    found = [
        {
            "image_id": numbers[picture["file"]],
            "category_id": box["category"],
            "bbox": [box[key] for key in ("x", "y", "width", "height")],
            "score": box["score"],
        }
        for picture in pictures
        for box in picture["boxes"]
    ]
    judge = cocoeval.COCOeval(truth, truth.loadRes(found), "bbox")
    judge.params.imgIds = [numbers[picture["file"]] for picture in pictures]
    judge.evaluate()
    judge.accumulate()
    judge.summarize()
    return float(judge.stats[0])


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_scenario_of_the_pages_runs_and_its_labels_are_right(name, tmp_path, capsys):
    for file in (name, "front_end.py"):
        (tmp_path / file).write_text(FILES[file])
    PREPARE[name](tmp_path)
    settings = ("--set", "profiling.rounds=3", "--set", "profiling.noise_samples=2")
    with pytest.raises(SystemExit) as done:
        main([str(tmp_path / name), "--out", str(tmp_path / "plan"), *settings])
    assert done.value.code == 0, capsys.readouterr().err
    measured = json.loads((tmp_path / "plan" / "plan.json").read_text())["measured"]
    # What the models answer is known: all is right, unless labels or boxes are not what they should be.
    if name == "detector.yaml":
        assert measured["metric_fp32"] == pytest.approx(1.0)
        assert measured["metric"] > 0.98
        assert measured["accuracy"] is None
        assert boxes_precision(tmp_path) == pytest.approx(measured["metric"], abs=1e-12)
    else:
        assert (measured["accuracy_fp32"], measured["metric"]) == (1.0, None)
