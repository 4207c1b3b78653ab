"""What pages and examples do to pictures is what the tool does, to the bit."""

import json
import sys

import numpy as np
import pytest
from documentation import DOCS, Page
from PIL import Image
from repository import ROOT

from planner.inputs.image_preprocessing import placement_in_input, prepare_image
from planner.output.input_preparation import picture_preparation
from planner.scenario.data_schema import ImageSpec

PAGE = Page(DOCS / "how-to" / "stages-in-your-own-program.md")
SIZES = [(427, 640), (640, 427), (333, 500), (64, 64), (37, 1), (480, 639)]  # height, width
SPECS = {
    "letterbox": ImageSpec(letterbox=416, pad=114),
    "top left, blue first": ImageSpec(letterbox=416, letterbox_at="top_left", channels="bgr"),
    "resize and crop": ImageSpec(resize_shorter=70, crop=64, divide_by=255),
    "per channel, channels last": ImageSpec(
        layout="nhwc", divide_by=255, subtract=(0.4, 0.5, 0.6), scale_by=(0.2, 0.3, 0.1)
    ),
}


@pytest.fixture
def page_program(tmp_path, monkeypatch):
    """What the page's program defines; only what it does as a script needs a plan."""
    (tmp_path / "plans" / "quickstart").mkdir(parents=True)
    (tmp_path / "plans" / "quickstart" / "manifest.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    (block,) = (block for block in PAGE.blocks if block.mark("file") == "stages.py")
    names = {"__name__": "stages"}
    exec(compile(block.text, "stages.py", "exec"), names)
    return names


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("size", SIZES)
def test_the_page_prepares_pictures_as_the_tool_does(page_program, name, size):
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3)).astype(np.uint8)
    spec = SPECS[name]
    image = json.loads(json.dumps(_fields(picture_preparation(spec, channels_first=False))))
    found = page_program["prepare"](pixels, image)
    expected = prepare_image(pixels, spec)[None]
    assert found.dtype == expected.dtype
    assert np.array_equal(found, expected)


def _fields(record) -> dict[str, object]:
    return {name: getattr(record, name) for name in record.__struct_fields__}


@pytest.mark.parametrize("size", SIZES)
def test_the_readers_of_the_example_letterbox_as_the_tool_does(size, monkeypatch):
    pytest.importorskip("pycocotools")
    monkeypatch.syspath_prepend(str(ROOT / "scenarios"))
    monkeypatch.delitem(sys.modules, "detection", raising=False)
    import detection

    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3)).astype(np.uint8)
    spec = SPECS["top left, blue first"]
    assert np.array_equal(detection.letterbox(Image.fromarray(pixels)), prepare_image(pixels, spec)[None])
    # A box in the middle of the input, in the cell of stride 8 in row 26 and column 26.
    raw = np.zeros((52 * 52 + 26 * 26 + 13 * 13, 85), np.float32)
    raw[26 * 52 + 26, 4:6] = 1
    placement = placement_in_input(*size, spec)
    (box, score, category) = detection._detections(  # the example's own way to read boxes
        raw, np.array([placement.scale_x, placement.scale_y])
    )[0]
    corners = placement.in_picture(np.array([[26 * 8 - 4, 26 * 8 - 4, 26 * 8 + 4, 26 * 8 + 4]]))[0]
    assert box == pytest.approx([*corners[:2], *(corners[2:] - corners[:2])])
    assert (score, category) == (1.0, 0)
    height, width = size
    inside = detection._size_inside(width, height)
    assert np.divide(inside, (width, height)) == pytest.approx([placement.scale_x, placement.scale_y])
