"""`labels: FILE` beside a folder: however people write such tables, or one line that says what is wrong."""

import logging

import numpy as np
import pytest
from PIL import Image

from planner.errors import DataError
from planner.inputs.dataset import Input
from planner.inputs.image_samples import image_samples
from planner.inputs.load_samples import check_names
from planner.scenario.data_schema import SampleSpec

X = Input("x", "float32", (1, 3, 2, 2))
GREYS = {"a.png": 10, "b c.png": 20, "7.png": 30, "sub/d.PNG": 40}


@pytest.fixture
def read(tmp_path):
    """Read a folder of four grey pictures with a table of labels."""
    folder = tmp_path / "pets"
    (folder / "sub").mkdir(parents=True)
    for name, grey in GREYS.items():
        Image.fromarray(np.full((2, 2, 3), grey, np.uint8)).save(folder / name)

    def call(table: str | bytes, file: str = "labels.csv", **changes):
        path = tmp_path / file
        path.write_bytes(table if isinstance(table, bytes) else table.encode())
        spec = SampleSpec(**{"images": str(folder), "image": {}, "labels": str(path)} | changes)
        check_names(spec, "data.evaluation")
        return image_samples(spec, (X,), "data.evaluation")

    return call


def said(data) -> list[tuple[int, int]]:
    greys = [round(float(feeds["x"].mean())) for feeds in data.samples]
    return list(zip(greys, data.labels.tolist(), strict=True))


WANTED = [(20, 1), (10, 0), (30, 2), (40, 1)]
ROWS = [("b c.png", "1"), ("a.png", "0"), ("7.png", "2"), ("sub/d.PNG", "1")]


def written(separator: str, *header: str, rows=ROWS, end="\n") -> str:
    return "".join(separator.join(row) + end for row in ([header, *rows] if header else rows))


@pytest.mark.parametrize(
    "text",
    [
        written(","),
        written(",", "filename", "class"),
        written(", ", "filename", "class"),
        written(";", "file", "label"),
        written("\t", "image", "y"),
        written("|", "any", "thing"),
        written(",", "file", "label", end="\r\n"),
        written(",", "file", "label", end="\r"),
        "\n" + written(",", "file", "label") + "\n\n",
        "sep=;\r\n" + written(";", "file", "label", end="\r\n"),
        '"file","label"\n"b c.png","1"\n"a.png","0"\n"7.png","2"\n"sub/d.PNG","1"\n',
        "label,file\n1,b c.png\n0,a.png\n2,7.png\n1,sub/d.PNG\n",
        ",filename,class\n0,b c.png,1\n1,a.png,0\n2,7.png,2\n3,sub/d.PNG,1\n",
        "file,width,Label\nb c.png,2,1.0\na.png,2,0.0\n7.png,2,2.0\nsub/d.PNG,2,1\n",
        "id,label\nb c,1\na,0\n7,2\nsub/d,1\n",
        "pets/b c.png,1\n./a.png,0\npets\\7.png,2\nsub\\d.PNG,1\n",
        '"b c.png" 1\na.png   0\n7.png 2 \nsub/d.PNG 1\n',
    ],
)
def test_a_table_may_be_written_in_many_ways(read, text):
    assert said(read(text)) == WANTED
    assert said(read(text, "labels.txt")) == WANTED
    assert said(read(text.encode("utf-8-sig"))) == WANTED
    assert said(read(text.encode("utf-16"))) == WANTED
    assert said(read(text, label_offset=5)) == [(grey, label + 5) for grey, label in WANTED]


NAMES = ["the cat", "ant", "ox, big", "the cat"]
NAMED = "file,label\n" + "".join(f'{row[0]},"{name}"\n' for row, name in zip(ROWS, NAMES, strict=True))


def test_names_are_classes_in_sorted_order_or_in_a_given_one(read, tmp_path):
    assert said(read(NAMED)) == [(20, 2), (10, 0), (30, 1), (40, 2)]
    assert read(NAMED).class_names == ("ant", "ox, big", "the cat")
    order = ("bee", "the cat", "ox, big", "ant")
    assert said(read(NAMED, classes=order)) == [(20, 1), (10, 3), (30, 2), (40, 1)]
    (tmp_path / "names.txt").write_text("".join(f"{name}\n" for name in order))
    assert said(read(NAMED, classes=str(tmp_path / "names.txt"))) == [(20, 1), (10, 3), (30, 2), (40, 1)]


def test_numbers_may_be_names_of_classes(read):
    assert said(read(written(","), classes=("2", "0", "1"))) == [(20, 2), (10, 1), (30, 0), (40, 2)]
    assert said(read(written(","), classes=("ant", "bee", "cat"))) == WANTED


def test_labels_that_could_be_names_of_files_are_labels(read):
    assert said(read("7.png,7\na.png,7\n")) == [(30, 7), (10, 7)]
    assert said(read("7.png,7\n")) == [(30, 7)]
    assert said(read("id,label\n7,7\na,7\n")) == [(30, 7), (10, 7)]


def test_a_first_row_without_header_is_a_sample(read):
    assert said(read("a.png,cat\n7.png,cat\n")) == [(10, 0), (30, 0)]


def test_files_without_a_row_are_left_out_and_named(read, caplog):
    with caplog.at_level(logging.WARNING):
        assert said(read("file,label\na.png,4\n")) == [(10, 4)]
    assert "leaves out 3 of 4 pictures in" in caplog.text
    assert "7.png, b c.png, sub/d.PNG" in caplog.text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "labels.csv holds no rows"),
        ("\n \n", "labels.csv holds no rows"),
        ("file,label\n", "no column names pictures of"),
        ("a.png\nb c.png\n", "has one column; it needs file names and labels"),
        ("a.png,1\nb c.png,2,3\n", "line 2 has 3 columns, line 1 has 2"),
        ("x,1\ny,2\n", "no column names pictures of .*/pets, such as 7.png"),
        ("file,label\na.png,1\n\ngone.png,2\n", "line 4: 'gone.png' is not in .*/pets"),
        ("id,label\na,1\ngone,2\n", "line 3: 'gone' is not in .*/pets"),
        ("gone,cat\na,cat\n7,ox\n", "line 1: 'gone' is not in .*/pets"),
        ("a.png,1\n7.png,2\na.png,1\n", "line 3: a.png is listed twice, first in line 1"),
        ("a.png,1\na,2\n", "line 2: a.png is listed twice, first in line 1"),
        ("file,label\na.png,\n", "line 2: a.png has no label"),
        ("a.png,1\n7.png,cat\n", "'cat' is no whole number, but '1' is; labels are one or the other"),
        ("a.png,1.5\n", "'1.5' is no whole number"),
        ("a.png,nan\n", "'nan' is no whole number"),
        ("a.png,1e3\n", "'1e3' is no whole number"),
        ("a.png," + "9" * 30 + "\n", "a label does not fit into 64 bits"),
        ("a.png," + "9" * 5000 + "\n", "is no whole number"),
        ('a.png,"cat\n7.png,ox\n', "is no table: a quote is not closed, or a cell is too long"),
        ("a.png," + "x" * 200_000, "is no table: a quote is not closed, or a cell is too long"),
        ("file,x1,y1\na.png,1,2\n", "has columns file, x1, y1; say which with labels: {file: labels.csv, "),
        ("file,label,class\na.png,1,2\n", "has columns file, label, class; say which"),
        ("a.png,1,2\n", "has 3 columns and no header line; say which with labels"),
        ("a.png,a.png\n7.png,7.png\n", "more than one column names pictures; say which"),
        (b"a.png,caf\xe9\n", "cannot be read: it is not UTF-8 text"),
        (b"\xff\xfea", "cannot be read: it is not UTF-8 text"),
        (b"\x00\x01\x02", "has one column"),
    ],
)
def test_a_mistake_costs_one_line_that_names_it(read, text, message):
    with pytest.raises(DataError, match=message) as told:
        read(text)
    assert str(told.value).startswith("data.evaluation.labels: ")
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (("ant", "ox, big"), "labels: .*: 'the cat' is none of `classes`: ant, ox, big"),
        (("ant", "ant"), "classes: 'ant' is there twice"),
        ("/no/such/names.txt", "classes: /no/such/names.txt cannot be read: No such file"),
    ],
)
def test_a_wrong_order_of_classes_is_refused(read, classes, message):
    with pytest.raises(DataError, match=message):
        read(NAMED, classes=classes)


@pytest.mark.parametrize("file", ["labels.xlsx", "labels"])
def test_a_file_that_is_no_table_is_refused_by_its_name(read, file):
    with pytest.raises(DataError, match=r"give \{file: .*a table \(\.csv, \.tsv, \.txt\), .*; got labels"):
        read("a.png,1\n", file)


def test_folders_follow_a_given_order_of_classes(tmp_path):
    for grey, name in ((10, "cat/b.png"), (20, "ant/a.png")):
        (tmp_path / name).parent.mkdir()
        Image.fromarray(np.full((2, 2, 3), grey, np.uint8)).save(tmp_path / name)
    given = {"images": str(tmp_path), "image": {}, "labels": "folders"}
    data = image_samples(SampleSpec(**given, classes=("bee", "cat", "ant")), (X,), "d")
    assert said(data) == [(20, 2), (10, 1)]
    with pytest.raises(DataError, match=r"d\.labels: .*/ant is the folder of none of `classes`"):
        image_samples(SampleSpec(**given, classes=("bee", "cat")), (X,), "d")
