"""COCO annotations beside a folder of pictures: as exports have them, or one line that says what is wrong."""

import copy
import json
import logging

import numpy as np
import pytest
from PIL import Image

from planner.errors import DataError
from planner.inputs.dataset import Input
from planner.inputs.load_samples import check_names, load_data
from planner.scenario.data_schema import SampleSpec

X = Input("x", "float32", (1, 3, 8, 8))
FILE = {
    "images": [
        {"id": 7, "file_name": "b.png", "width": 16, "height": 8},
        {"id": 3, "file_name": "a.png", "width": 4, "height": 8},
        {"id": 5, "file_name": "grey.png"},
    ],
    "annotations": [
        {"id": 0, "image_id": 3, "category_id": 90, "bbox": [1, 2, 2.5, 3], "area": 5.5, "iscrowd": 0},
        {"id": 0, "image_id": 7, "category_id": 1, "bbox": [0, 0, 4, 4], "iscrowd": 1, "segmentation": {}},
        {"image_id": 3, "category_id": 1, "bbox": [0, 0, 0, 0]},
    ],
    "categories": [{"id": 90, "name": "brush"}, {"id": 1, "name": "person"}],
}  # fmt: skip


@pytest.fixture
def read(tmp_path):
    """Read three pictures, one of them grey, with the text of a file of annotations."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    Image.fromarray(np.full((8, 16, 3), 50, np.uint8)).save(folder / "b.png")
    Image.fromarray(np.full((8, 4, 3), 100, np.uint8)).save(folder / "a.png")
    Image.fromarray(np.full((8, 8), 150, np.uint8)).save(folder / "grey.png")

    def call(content: object, **changes):
        path = tmp_path / "instances.json"
        path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        given = {"images": str(folder), "labels": str(path), "image": {"letterbox": 8, "pad": 0}}
        spec = SampleSpec(**given | changes)
        check_names(spec, "data.evaluation")
        return load_data(spec, [X], "data.evaluation")

    return call


def test_pictures_come_in_the_order_of_the_file_each_with_its_objects(read):
    data = read(FILE)
    assert [round(float(feeds["x"].max())) for feeds in data.samples] == [50, 100, 150]
    assert data.classes is None
    b, a, grey = data.labels
    assert [(one.category, one.box, one.area, one.is_crowd) for one in a.objects] == [
        (90, (1.0, 2.0, 2.5, 3.0), 5.5, False),
        (1, (0.0, 0.0, 0.0, 0.0), 0.0, False),
    ]
    assert [(one.category, one.is_crowd) for one in b.objects] == [(1, True)]
    assert grey.objects == ()
    assert (grey.width, grey.height) == (8, 8)
    assert {picture.categories for picture in data.labels} == {(1, 90)}
    assert (b.placement.scale_x, b.placement.top, b.placement.left) == (0.5, 2, 0)
    assert (a.placement.scale_y, a.placement.top, a.placement.left) == (1.0, 0, 2)


def test_a_part_of_the_pictures_keeps_its_objects(read):
    data = read(FILE, subset={"modulo": 3, "equals": (1, 2)}, samples=1)
    assert [len(picture.objects) for picture in data.labels] == [2]


def test_pictures_that_are_not_on_both_sides_are_left_out_with_a_warning(read, tmp_path, caplog):
    content = copy.deepcopy(FILE)
    content["images"].append({"id": 8, "file_name": "gone.png"})
    Image.new("RGB", (8, 8)).save(tmp_path / "pictures" / "more.png")
    with caplog.at_level(logging.WARNING):
        assert len(read(content).samples) == 3
    assert "leaves out 1 of 4 pictures, which are not in" in caplog.text
    assert f"does not list pictures of {tmp_path}/pictures: more.png" in caplog.text


def changed(path: str, value: object):
    content = copy.deepcopy(FILE)
    *steps, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    part = content
    for step in steps:
        part = part[step]
    if value is None:
        del part[last]
    else:
        part[last] = value
    return content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds no COCO annotations of objects: Input data was truncated"),
        (b"{", "holds no COCO annotations of objects: Input data was truncated"),
        (b"\xff\xfe{}", "holds no COCO annotations of objects: "),
        (b"[]", "holds no COCO annotations of objects: Expected `object`, got `array`"),
        (b"{}", "missing required field `images`"),
        (b'{"images": NaN}', "holds no COCO annotations of objects: "),
        (changed("categories", None), "missing required field `categories`"),
        (changed("images", []), "holds no images"),
        (changed("annotations", []), "holds no annotations"),
        (changed("images.0.file_name", None), r"missing required field `file_name` - at `\$.images\[0\]`"),
        (changed("images.0.id", "7"), r"Expected `int`, got `str` - at `\$.images\[0\].id`"),
        (changed("images.0.id", 3), "two of its images have id 3"),
        (changed("categories.0.id", 1), "two of its categories have id 1"),
        (changed("annotations.1.image_id", 99), r"annotations\[1\] is of image_id 99, which no image has"),
        (changed("annotations.2.category_id", 0), r"annotations\[2\] is of category_id 0, which no "),
        (changed("annotations.0.bbox", None), "missing required field `bbox`"),
        (changed("annotations.0.bbox", [1, 2, 3]), "Expected `array` of length 4"),
        (changed("annotations.0.bbox", [5, 5, -1, 2]), r"annotations\[0\].bbox is \[5.0, 5.0, -1.0, 2.0\]"),
        (changed("images.0.file_name", "a.png"), "lists a.png twice"),
        (changed("images.1.width", 5), "a.png is 5 x 8, but the file in .* is 4 x 8"),
        ({**FILE, "images": [{"id": n, "file_name": f"{n}.png"} for n in (3, 5, 7)]}, "none of its 3 "),
    ],
)  # fmt: skip
def test_a_mistake_in_a_file_costs_one_line_that_names_it(read, content, message):
    with pytest.raises(DataError, match=message) as told:
        read(content)
    assert str(told.value).startswith("data.evaluation.labels: ")
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("keys", [{"label_offset": 1}, {"classes": ("a", "b")}])
def test_what_numbers_classes_elsewhere_does_not_apply(read, keys):
    with pytest.raises(DataError, match="do not apply to annotations; metric.category_ids says which"):
        read(FILE, **keys)
