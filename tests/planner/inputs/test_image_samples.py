import numpy as np
import pytest
from PIL import Image

from planner.errors import DataError
from planner.inputs.dataset import Input
from planner.inputs.image_samples import image_samples, read_fitted_image
from planner.inputs.subset import subset
from planner.scenario.data_schema import ImageSpec, SampleSpec, SubsetSpec

X = Input("x", "float32", (1, 3, 2, 2))
NAMES = ("b.png", "a.PNG", "c.bmp", "d.jpeg")
GREYS = dict(zip(NAMES, (10, 20, 30, 40), strict=True))


@pytest.fixture
def read(tmp_path):
    """Read a folder of four grey pictures, with a table of labels if a test gives its text."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name, grey in GREYS.items():
        Image.fromarray(np.full((2, 2, 3), grey, np.uint8)).save(folder / name)
    (folder / "notes.txt").write_text("no picture")

    def call(table: str | bytes | None = None, file: str = "labels.tsv", inputs=(X,), **spec):
        given = {"images": str(folder), "image": {}} | spec
        if table is not None:
            path = tmp_path / file
            path.write_bytes(table if isinstance(table, bytes) else table.encode())
            given["labels"] = {"file": str(path)} | given.get("labels", {})
        return image_samples(SampleSpec(**given), inputs, "data.evaluation")

    return call


def greys(data) -> list[int]:
    return [round(float(feeds["x"].mean())) for feeds in data.samples]


def table(*rows: tuple[str, str], tab: str = "\t") -> str:
    return "".join(f"{image}{tab}{label}\n" for image, label in (("file", "label"), *rows))


def test_without_a_table_every_picture_is_a_sample_by_name(read):
    data = read()
    assert greys(data) == [GREYS[name] for name in sorted(NAMES)]
    assert data.labels is None


def test_a_table_says_which_pictures_there_are_and_in_which_order(read):
    data = read(table(("c.bmp", "7"), ("b.png", "9"), ("c.bmp", "8")), label_offset=-7)
    assert greys(data) == [30, 10, 30]
    assert data.labels.tolist() == [0, 2, 1]


@pytest.mark.parametrize(
    ("content", "file"),
    [
        (table(("b.png", "3"), tab=","), "t.csv"),
        (table(("b.png", "3"), tab=","), "T.CSV"),
        (table(("b.png", "3")), "t.txt"),
        (table(("b.png", "3"), tab=","), "commas.tsv"),
        (table(("b.png", "3"), tab=";"), "semicolons.csv"),
        ("sep=;\nfile;label\nb.png;3\n", "excel.csv"),
        ("file,label\nb.png,3.0\n", "pandas.csv"),
        ("file\tlabel\nb.png\t3\n".encode("utf-16"), "unicode.txt"),
        ("file,label\r\nb.png,3\r\n", "windows.csv"),
        (b"\xef\xbb\xbffile,label\r\nb.png,3\r\n", "spreadsheet.csv"),
        ('label,other,file\n3,"a, b",b.png\n', "more.csv"),
        ("file,label\nb.png, 3 \n\n", "blank_line.csv"),
        ("file,label\nb.png,3,more\n", "long_row.csv"),
    ],
)
def test_a_table_may_be_written_in_several_ways(read, content, file):
    data = read(content, file)
    assert (greys(data), data.labels.tolist()) == ([10], [3])


def test_a_subset_follows_a_column_or_the_place_and_keeps_labels(read):
    rows = "file\tlabel\tfold\n" + "".join(f"{name}\t{n}\t{10 + n}\n" for n, name in enumerate(NAMES))
    by_fold = read(rows, subset={"modulo": 5, "equals": (1, 3), "column": "fold"})
    assert by_fold.labels.tolist() == [1, 3]
    assert greys(by_fold) == [20, 40]
    by_place = read(rows, subset={"modulo": 2, "equals": (0,)})
    assert by_place.labels.tolist() == [0, 2]


def test_only_pictures_of_the_subset_have_to_be_there(read):
    rows = table(("b.png", "0"), ("gone.png", "1"))
    assert read(rows, subset={"modulo": 2, "equals": (0,)}).labels.tolist() == [0]
    with pytest.raises(DataError, match=r"data\.evaluation\.images: .*/gone\.png does not exist"):
        read(rows)


def test_an_empty_folder_or_subset_gives_no_samples(read, tmp_path):
    (tmp_path / "empty").mkdir()
    assert len(read(images=str(tmp_path / "empty")).samples) == 0
    assert len(read(subset={"modulo": 9, "equals": (8,)}).samples) == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "has no column 'file'; it has no rows"),
        ("file\tlabel\n", "has no column 'file'; it has no rows"),
        ("image\tlabel\nb.png\t1\n", "has no column 'file'; it has image, label"),
        ("file,class\nb.png,1\n", "has no column 'file'; it has file,class"),
        ("file\tlabel\nb.png\t1\nc.bmp\n", "row 2 has no 'label'"),
        ("file\tlabel\tlabel\nb.png\t1\t2\n", "has column 'label' 2 times"),
        ("file\tlabel\nb.png\t1\nc.bmp\tcat\n", "'cat' is no whole number, but '1' is"),
        ("file\tlabel\nb.png\tnan\n", "'nan' is no whole number"),
        ("file\tlabel\nb.png\t1e3\n", "'1e3' is no whole number"),
        ("file\tlabel\nb.png\t1.5\n", "'1.5' is no whole number"),
        ("file\tlabel\nb.png\t\n", "a label is empty"),
        ("file\tlabel\nb.png\t" + "9" * 20 + "\n", "a label does not fit into 64 bits"),
        ("file\tlabel\nb.png\t" + "9" * 5000 + "\n", "is no whole number"),
        (b"file\tlabel\n\xff\t1\n", "cannot be read: "),
        (b"file\tlabel\nb.png\x00\t1\n", "does not exist"),
        ("file\tlabel\n" + "x" * 5000 + "\t1\n", "does not exist"),
        ("file\tlabel\n\t1\n", "cannot be read as a picture: Is a directory"),
    ],
)
def test_a_mistake_in_a_table_is_told(read, content, message):
    with pytest.raises(DataError, match="^data.evaluation.") as told:
        read(content)
    assert message in str(told.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": "/no/such/folder"}, "data.evaluation.images: /no/such/folder is not a folder"),
        ({"labels": "folder"}, "got folder; did you mean folders?"),
        ({"labels": "y"}, "data.evaluation.labels: with images give {file: ..., label_column: ...}"),
        ({"inputs": (X, X)}, "data.evaluation.images: the model has 2 inputs; pictures feed one"),
        ({"image": {"crop": 3}}, "data.evaluation: a.PNG: cannot crop 3 x 3 out of [2, 2] pixels"),
        ({"subset": {"modulo": 2, "equals": (0,), "column": "fold"}}, "no column 'fold' in the label table"),
        (
            {"inputs": (Input("x", "float32", (1, 3, 4, 4)),)},
            "a.PNG: input 'x' wants shape [1, 3, 4, 4], got [3, 2, 2]; set image.resize_shorter "
            "and image.crop, or image.letterbox, to 4",
        ),
        (
            {"inputs": (Input("x", "float32", (1, 3, 4, 6)),)},
            "got [3, 2, 2]; scale the pictures to 6 x 4 pixels beforehand",
        ),
        (
            {"inputs": (Input("x", "float32", (1, 2, 2, 3)),)},
            "a.PNG: input 'x' wants shape [1, 2, 2, 3], got [3, 2, 2]; set image.layout to nhwc",
        ),
    ],
)
def test_what_does_not_go_together_is_told_with_its_key(read, changes, message):
    with pytest.raises(DataError) as told:
        read(**changes)
    assert message in str(told.value)


def test_a_missing_table_is_told_with_its_key(read, tmp_path):
    with pytest.raises(DataError, match=r"data\.evaluation\.labels: .*q\.tsv cannot be read: "):
        read(labels={"file": str(tmp_path / "q.tsv")})


@pytest.mark.parametrize("column", [None, "n"])
def test_a_subset_is_what_has_one_of_some_remainders(column):
    rows = [{"n": str(n)} for n in (-3, 0, 4, 7, 10**30)]
    keys = [int(row["n"]) for row in rows] if column else range(5)
    for modulo in (1, 2, 3, 5):
        for equals in ((0,), (1, 2), (4,)):
            found = subset(SubsetSpec(modulo=modulo, equals=equals, column=column), 5, rows, "d")
            assert found == [i for i, key in enumerate(keys) if key % modulo in equals]
    assert subset(None, 5, rows, "d") == [0, 1, 2, 3, 4]


def test_a_grey_model_gets_one_channel_of_a_coloured_picture(tmp_path):
    Image.fromarray(np.full((2, 2, 3), (255, 0, 0), np.uint8)).save(tmp_path / "red.png")
    grey = Input("x", "float32", (1, 1, 2, 2))
    value = read_fitted_image(tmp_path / "red.png", grey, ImageSpec(), "d")
    assert value.shape == (1, 1, 2, 2)
    assert np.all(value == 76.0)  # 0.299 of 255


def test_folders_are_classes_in_the_order_of_their_names(tmp_path):
    for grey, name in ((10, "cat/b.png"), (20, "cat/a.png"), (30, "ant/z.png"), (40, "ox/c.png")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(np.full((2, 2, 3), grey, np.uint8)).save(tmp_path / name)
    for aside in ("empty", ".hidden"):
        (tmp_path / aside).mkdir()
    (tmp_path / "notes.txt").write_text("no class")
    spec = SampleSpec(images=str(tmp_path), image={}, labels="folders", label_offset=100)
    data = image_samples(spec, (X,), "data.evaluation")
    assert greys(data) == [30, 20, 10, 40]
    assert data.labels.tolist() == [100, 101, 101, 103]  # `empty` is a class, too
    odd = SampleSpec(images=str(tmp_path), image={}, labels="folders", subset={"modulo": 2, "equals": (1,)})
    data = image_samples(odd, (X,), "data.evaluation")
    assert (greys(data), data.labels.tolist()) == ([20, 40], [1, 3])


def test_pictures_in_no_folders_have_no_classes(read):
    with pytest.raises(DataError, match="has no folders with pictures, one for each class"):
        read(labels="folders")
