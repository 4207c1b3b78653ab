import csv
import json
import os
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from planner.errors import DataError
from planner.inputs.dataset import Dataset, Input, check_labels, fit, split_calibration
from planner.inputs.load_samples import load_data
from planner.inputs.prepared_scenario import prepare
from planner.scenario.data_schema import ImageSpec, LabelTable, SampleSpec, SubsetSpec
from planner.scenario.loader import load_scenario

X = Input("x", "float32", (1, 3, 4, 4))


@pytest.fixture
def archive(tmp_path):
    def write(**arrays):
        path = tmp_path / "d.npz"
        np.savez(path, **arrays)
        return str(path)

    return write


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for i in range(6):
        pixels = np.full((8, 6, 3), 10 * i, dtype=np.uint8)
        pixels[..., 0] = 200
        Image.fromarray(pixels).save(folder / f"{i}.png")
    table = tmp_path / "labels.tsv"
    with table.open("w", newline="") as file:
        writer = csv.writer(file, delimiter="\t")
        writer.writerow(["file", "class"])
        writer.writerows([[f"{i}.png", i] for i in range(6)])
    return folder, table


def images(pictures, **changes) -> SampleSpec:
    folder, table = pictures
    fields = {
        "images": str(folder),
        "labels": LabelTable(file=str(table), label_column="class"),
        "image": ImageSpec(crop=4, divide_by=2.0, subtract=1.0, scale_by=(1.0, 2.0, 4.0)),
    }
    return SampleSpec(**(fields | changes))


def refuse(spec: SampleSpec, message: str, inputs=(X,)) -> None:
    with pytest.raises(DataError, match=message):
        list(load_data(spec, inputs, "data.calibration").samples)


def test_arrays_get_a_batch_axis(archive):
    values = np.arange(5 * 48, dtype=np.float32).reshape(5, 3, 4, 4)
    data = load_data(SampleSpec(npz=archive(x=values, y=np.arange(5)), labels="y", label_offset=1), [X], "d")
    assert data.samples[2]["x"].shape == (1, 3, 4, 4)
    np.testing.assert_array_equal(data.samples[2]["x"][0], values[2])
    np.testing.assert_array_equal(data.labels, np.arange(5) + 1)


def test_narrow_floats_are_widened(archive):
    data = load_data(SampleSpec(npz=archive(x=np.ones((2, 3, 4, 4), np.float16))), [X], "d")
    assert data.samples[0]["x"].dtype == np.float32


def test_pictures_are_cropped_scaled_and_laid_out(pictures):
    data = load_data(images(pictures), [X], "d")
    sample = data.samples[3]["x"]
    assert sample.shape == (1, 3, 4, 4)
    np.testing.assert_allclose(sample[0, :, 0, 0], [(100 - 1) / 1, (15 - 1) / 2, (15 - 1) / 4])
    assert data.labels.tolist() == [0, 1, 2, 3, 4, 5]


def test_channels_can_be_reversed_and_kept_last(pictures):
    spec = images(pictures, image=ImageSpec(crop=4, layout="nhwc", channels="bgr"))
    sample = load_data(spec, [Input("x", "float32", (1, 4, 4, 3))], "d").samples[1]["x"]
    assert sample[0, 0, 0].tolist() == [10, 10, 200]


def test_pictures_can_be_resized_before_the_crop(pictures):
    spec = images(pictures, image=ImageSpec(resize_shorter=4, crop=4))
    assert load_data(spec, [X], "d").samples[0]["x"].shape == (1, 3, 4, 4)


def test_a_subset_follows_a_column(pictures):
    spec = images(pictures, subset=SubsetSpec(modulo=3, equals=(0, 2), column="class"))
    assert load_data(spec, [X], "d").labels.tolist() == [0, 2, 3, 5]


def test_few_samples_are_spread_over_all(archive):
    data = load_data(
        SampleSpec(npz=archive(x=np.ones((9, 3, 4, 4), np.float32), y=np.arange(9)), labels="y", samples=3),
        [X],
        "d",
    )
    assert data.labels.tolist() == [0, 4, 8]


def test_a_quarter_of_the_calibration_data_is_held_back():
    data = Dataset([{"x": np.array(i)} for i in range(8)], np.arange(8))
    kept, back = split_calibration(data)
    assert kept.labels.tolist() == [0, 1, 2, 4, 5, 6]
    assert [int(s["x"]) for s in back.samples] == back.labels.tolist() == [3, 7]


def test_other_labels_make_other_data():
    samples = [{"x": np.ones(3)}]
    labels = ([1], [1], [2], None)
    fingerprints = [Dataset(samples, None if y is None else np.array(y)).fingerprint for y in labels]
    assert fingerprints[0] == fingerprints[1]
    assert len(set(fingerprints)) == 3


def test_what_does_not_fit_the_model_is_refused(archive):
    good = np.ones((2, 3, 4, 4), np.float32)
    refuse(SampleSpec(npz=archive(x=good), inputs={"z": "x"}), "has no input 'z'; it has x")
    refuse(SampleSpec(npz=archive(a=good)), "no array 'x' for input 'x'; it has a")
    refuse(SampleSpec(npz=archive(x=good[:, :2])), r"wants shape \[1, 3, 4, 4\], got \[2, 4, 4\]")
    refuse(SampleSpec(npz=archive(x=good.astype(np.int64))), "wants float32, got int64")
    refuse(SampleSpec(npz=archive(x=good.astype(np.uint8))), "declare the pictures' scaling under `image`")
    refuse(SampleSpec(npz=archive(x=good * np.nan)), "holds NaN or infinity")
    refuse(SampleSpec(npz=archive(x=good[:0])), "no samples")
    refuse(SampleSpec(npz=archive(x=good, y=np.arange(3)), labels="y"), "must hold 2 whole numbers")
    refuse(
        SampleSpec(npz=archive(x=good, y=np.ones(2)), labels="y"), "must hold 2 whole numbers, got float64"
    )
    refuse(SampleSpec(npz=archive(x=good), labels="y"), "must name an array")
    refuse(SampleSpec(npz=archive(x=np.float32(3))), "is a single number")
    refuse(SampleSpec(npz="/none.npz"), "does not exist")
    two = (X, Input("z", "float32", (1,)))
    refuse(
        SampleSpec(npz=archive(x=good, z=np.ones((3, 1), np.float32))),
        r"different numbers of samples: x 2, z 3; the first",
        two,
    )


def test_a_file_that_is_no_archive_is_refused(tmp_path):
    path = tmp_path / "a.npz"
    path.write_text("hello")
    refuse(SampleSpec(npz=str(path)), "not a readable .npz")


def test_pictures_that_do_not_fit_are_refused(pictures, tmp_path):
    folder, table = pictures
    refuse(images(pictures, images=str(tmp_path / "none")), "is not a folder")
    refuse(images(pictures, image=ImageSpec(crop=7)), "cannot crop 7 x 7")
    refuse(images(pictures, image=ImageSpec(crop=3)), r"wants shape \[1, 3, 4, 4\]")
    refuse(images(pictures, labels="y"), "with images give")
    refuse(images(pictures, image=ImageSpec(crop=4, subtract=(1.0, 2.0))), "one number or one per channel")
    refuse(images(pictures, subset=SubsetSpec(modulo=2, equals=(0,), column="file")), "is no whole number")
    refuse(
        images(pictures, labels=LabelTable(file=str(table), label_column="nope")),
        "no column 'nope'; it has file, class",
    )
    refuse(images(pictures, labels=LabelTable(file="/none.tsv", label_column="x")), "cannot be read")
    refuse(images(pictures, subset=SubsetSpec(modulo=2, equals=(0,), column="nope")), "no column 'nope'")
    refuse(images(pictures), "pictures feed one", (X, X))
    (folder / "2.png").write_text("broken")
    refuse(images(pictures), "cannot be read as a picture")


def test_labels_beyond_the_models_classes_are_refused():
    check_labels(np.array([0, 9]), 10, "d")
    check_labels(None, 10, "d")
    with pytest.raises(
        DataError, match="values run from 1 to 10, but the model has 10 classes; check labels"
    ):
        check_labels(np.array([1, 10]), 10, "d")


def test_a_reader_is_imported_from_beside_the_scenario(tmp_path):
    (tmp_path / "my_reader.py").write_text(
        "import numpy as np\n"
        "class Two:\n"
        "    def __init__(self): self.left = 2\n"
        "    def get_next(self):\n"
        "        self.left -= 1\n"
        "        return {'x': np.ones((1, 3, 4, 4), np.float32)} if self.left >= 0 else None\n"
        "class Broken:\n"
        "    def get_next(self): raise RuntimeError('camera unplugged')\n"
        "class Wrong:\n"
        "    def get_next(self): return {'z': 0}\n"
    )
    assert len(load_data(SampleSpec(reader=f"{tmp_path}/my_reader:Two"), [X], "d").samples) == 2
    refuse(SampleSpec(reader=f"{tmp_path}/my_reader:Wrong"), "sample 0 lacks input 'x'")
    refuse(SampleSpec(reader=f"{tmp_path}/my_reader:Broken"), "failed: RuntimeError: camera unplugged")
    refuse(SampleSpec(reader=f"{tmp_path}/my_reader:None_"), "cannot be used")
    refuse(SampleSpec(reader=f"{tmp_path}/no_such_module_at_all:A"), "cannot be used")
    with pytest.raises(ValueError, match="reader"):
        SampleSpec(reader=f"{tmp_path}/my_reader")


def test_a_reader_may_give_labels_of_any_kind(tmp_path):
    (tmp_path / "labelled.py").write_text(
        "import numpy as np\n"
        "class Boxes:\n"
        "    labels = [[(0, 0)], [(1, 1), (2, 2)], []]\n"
        "    def __init__(self): self.left = 3\n"
        "    def get_next(self):\n"
        "        self.left -= 1\n"
        "        return {'x': np.ones((1, 3, 4, 4), np.float32)} if self.left >= 0 else None\n"
        "class Classes(Boxes):\n"
        "    labels = [4, np.int32(5), 6]\n"
        "class Few(Boxes):\n"
        "    labels = [1]\n"
        "class Odd(Boxes):\n"
        "    labels = 3\n"
    )
    odd = SubsetSpec(modulo=2, equals=(1,))
    boxes = load_data(SampleSpec(reader=f"{tmp_path}/labelled:Boxes", subset=odd), [X], "d")
    assert boxes.labels.tolist() == [[(1, 1), (2, 2)]]
    assert boxes.classes is None
    classes = load_data(SampleSpec(reader=f"{tmp_path}/labelled:Classes"), [X], "d")
    assert classes.classes.tolist() == [4, 5, 6]
    refuse(SampleSpec(reader=f"{tmp_path}/labelled:Few"), "gives 3 samples but 1 labels")
    refuse(SampleSpec(reader=f"{tmp_path}/labelled:Odd"), "labels must be a list, got int")


EARLY = {
    "array": ({"npz": "d.npz", "inputs": {"x": "q"}}, "has no array 'q' for input 'x'; it has x, y"),
    "labels": ({"npz": "d.npz", "labels": "z"}, r"labels: must name an array of .*: x, y"),
    "archive": ({"npz": "net.tflite"}, "is not a readable .npz archive"),
    "column": (
        {"images": ".", "image": {}, "labels": {"file": "t.tsv", "label_column": "kind"}},
        "has no column 'kind'; it has file, label",
    ),
    "reader": ({"reader": "json:Nope"}, "reader: json:Nope cannot be used"),
}


@pytest.mark.parametrize("name", EARLY)
@pytest.mark.parametrize("part", ["calibration", "evaluation"])
def test_a_wrong_name_is_told_before_a_model_is_converted(name, part, tmp_path):
    spec, message = EARLY[name]
    np.savez(tmp_path / "d.npz", x=np.zeros((4, 2)), y=np.zeros(4, np.int64))
    (tmp_path / "t.tsv").write_text("file\tlabel\na.png\t1\n")
    (tmp_path / "net.tflite").write_bytes(b"no model: to convert it would end in another message")
    right = {"npz": str(tmp_path / "d.npz"), "labels": "y"}
    path = tmp_path / "s.json"
    data = {"calibration": right, "evaluation": right} | {part: spec}
    device = {"devices": [{"name": "a"}], "source": "a", "sink": "a"}
    path.write_text(json.dumps({"model": "net.tflite", "data": data, **device}))
    with pytest.raises(DataError, match=message):
        prepare(load_scenario(path))


def one_picture(folder: Path, table: str, **files: bytes) -> SampleSpec:
    (folder / "p").mkdir()
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(folder / "p" / "a.png")
    for name, content in files.items():
        (folder / "p" / f"{name}.png").write_bytes(content)
    (folder / "t.csv").write_text(table)
    return SampleSpec(
        images=str(folder / "p"), labels=LabelTable(file=str(folder / "t.csv")), image=ImageSpec()
    )


TABLES = {
    "a picture that is not there": ("file,label\na.png,0\nb.png,0\n", "b.png does not exist"),
    "a short row": ("file,label\na.png,0\na.png\n", "row 2 has no 'label'"),
    "a long field": (f"file,label\n{'x' * 200_000},0\n", "cannot be read: field larger than field limit"),
    "a name too long": (f"file,label\n{'x' * 300},0\n", "does not exist"),
    "a label too large": (f"file,label\na.png,{2**64}\n", "a label does not fit into 64 bits"),
    "a label of many digits": (f"file,label\na.png,{'9' * 5000}\n", "is no whole number"),
}


@pytest.mark.parametrize("name", TABLES)
def test_a_bad_label_table_is_refused(name, tmp_path):
    text, message = TABLES[name]
    refuse(one_picture(tmp_path, text), message)


def test_a_pipe_among_pictures_is_refused_without_waiting(tmp_path):
    spec = one_picture(tmp_path, "file,label\nb.png,0\n")
    os.mkfifo(tmp_path / "p" / "b.png")
    refuse(spec, "b.png cannot be read as a picture: is a named pipe")


def test_a_picture_is_measured_before_it_is_decoded(tmp_path):
    head = (30_000).to_bytes(4, "big") * 2 + b"\x08\x02\x00\x00\x00"
    parts = ((b"IHDR", head), (b"IDAT", zlib.compress(b"0")), (b"IEND", b""))
    chunk = b"".join(
        len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")
        for kind, data in parts
    )
    refuse(
        one_picture(tmp_path, "file,label\nb.png,0\n", b=b"\x89PNG\r\n\x1a\n" + chunk),
        "b.png cannot be read as a picture: Image size .900000000 pixels. exceeds limit",
    )


def test_a_picture_that_would_become_too_large_is_refused(tmp_path):
    spec = one_picture(tmp_path, "file,label\nb.png,0\n")
    Image.fromarray(np.zeros((1, 3000, 3), np.uint8)).save(tmp_path / "p" / "b.png")
    refuse(spec.model_copy(update={"image": ImageSpec(resize_shorter=8192)}), "would become 8192 x 24576000")


def test_a_row_is_no_sample_of_a_model_that_takes_several_rows_at_once():
    told = r"input 'x' wants shape \[4, 2\], got \[2\]: the model takes 4 rows at once, .* \[samples, 4, 2\]"
    with pytest.raises(DataError, match=told):
        fit(np.ones(2, np.float32), Input("x", "float32", (4, 2)), "d: sample 0")
