import itertools

import numpy as np
import pytest

import planner.inputs.reader_samples
from planner.errors import DataError
from planner.inputs.dataset import Input
from planner.inputs.reader_samples import reader_samples
from planner.scenario.data_schema import SampleSpec

X = Input("x", "float32", (1, 2))
IDS = Input("ids", "int64", ())
_MODULES = itertools.count()  # a module of a name is imported once per process


@pytest.fixture
def read(tmp_path):
    """Read the samples of a class `Reader`, of which a test gives the lines of its body."""

    def call(*body: str, inputs=(X,), **spec):
        module = f"own_reader_{next(_MODULES)}"
        lines = ["import numpy as np", "class Reader:", *(f"    {line}" for line in body)]
        (tmp_path / f"{module}.py").write_text("\n".join(lines))
        given = SampleSpec(reader="own:Reader", **spec).model_copy(
            update={"reader": f"{tmp_path}/{module}:Reader"}
        )
        return reader_samples(given, inputs, "data.calibration")

    return call


GIVES_THREE = (
    "def __init__(self):",
    "    self.rows = iter(range(3))",
    "def get_next(self):",
    "    row = next(self.rows, None)",
    "    return None if row is None else {'x': np.full((1, 2), row, np.float32), 'ids': row, 'more': 'text'}",
)


def values(data) -> list[float]:
    return [float(feeds["x"][0, 0]) for feeds in data.samples]


def test_samples_are_what_the_reader_gives_in_its_order(read):
    data = read(*GIVES_THREE, inputs=(X, IDS))
    assert values(data) == [0.0, 1.0, 2.0]
    assert [int(feeds["ids"]) for feeds in data.samples] == [0, 1, 2]
    assert [set(feeds) for feeds in data.samples] == [{"x", "ids"}] * 3
    assert data.labels is None


def test_a_reader_that_fills_one_array_again_and_again_gives_different_samples(read):
    data = read(
        "array, row = np.zeros((1, 2), np.float32), 0",
        "def get_next(self):",
        "    self.row += 1",
        "    self.array[:] = self.row",
        "    return {'x': self.array} if self.row < 4 else None",
    )
    assert values(data) == [1.0, 2.0, 3.0]


def test_a_batch_axis_is_added_and_floats_become_the_models(read):
    data = read(
        "rows = iter([{'x': [1.0, 2.0]}, {'x': np.ones(2, np.float16)}, None])",
        "def get_next(self):",
        "    return next(self.rows)",
    )
    assert [(feeds["x"].shape, feeds["x"].dtype) for feeds in data.samples] == [((1, 2), np.float32)] * 2


def test_a_subset_keeps_samples_with_their_labels(read):
    data = read("labels = [5, 6, 7]", *GIVES_THREE, subset={"modulo": 2, "equals": (0,)})
    assert values(data) == [0.0, 2.0]
    assert data.labels.tolist() == [5, 7]


def test_whole_numbers_are_class_indices_and_get_the_offset(read):
    for labels in ("[1, 2, 3]", "np.array([1, 2, 3], np.uint8)", "range(1, 4)", "(n for n in (1, 2, 3))"):
        data = read(f"labels = {labels}", *GIVES_THREE, label_offset=-1)
        assert data.labels.tolist() == data.classes.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    "labels",
    [
        "['a', 'b', 'c']",
        "[{'boxes': []}] * 3",
        "[[1, 2], [3, 4], [5, 6]]",
        "np.zeros((3, 4))",
        "[None, 1, 2]",
    ],
)
def test_labels_of_another_kind_are_kept_one_a_sample(read, labels):
    data = read(f"labels = {labels}", *GIVES_THREE, subset={"modulo": 3, "equals": (0, 1)})
    assert data.classes is None
    assert len(data.labels) == 2
    for given, kept in zip(eval(labels), data.labels, strict=False):
        assert np.array_equal(given, kept)
        assert type(given) is type(kept)


def test_a_single_sample_may_have_a_list_as_its_label(read):
    data = read(
        "labels, rows = [[7]], iter([{'x': np.ones(2, np.float32)}, None])",
        "def get_next(self):",
        "    return next(self.rows)",
    )
    assert data.labels.tolist() == [[7]]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ("[1, 2]", "reader: gives 3 samples but 2 labels"),
        ("[1, 2, 3, 4]", "reader: gives 3 samples but more labels"),
        ("iter(int, 1)", "reader: gives 3 samples but more labels"),
        ("[1, 2, 2**64]", "reader.labels: a label does not fit into 64 bits"),
        ("3", "reader: labels must be a list, got int"),
        ("'abc'", "reader: labels must be a list, got str"),
        ("{0: 'cat', 1: 'dog', 2: 'cat'}", "reader: labels must be a list, got dict"),
        ("{4, 5, 6}", "reader: labels must be a list, got set"),
        ("property(lambda self: 1 / 0)", "reader: its labels cannot be read: ZeroDivisionError"),
    ],
)
def test_labels_that_cannot_belong_to_the_samples_are_refused(read, labels, message):
    with pytest.raises(DataError, match=f"data.calibration.{message}"):
        read(f"labels = {labels}", *GIVES_THREE)


def test_an_offset_is_of_class_indices_only(read):
    with pytest.raises(DataError, match="data.calibration.label_offset: the reader's labels are not whole"):
        read("labels = ['a', 'b', 'c']", *GIVES_THREE, label_offset=1)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("1 / 0", r".reader: get_next\(\) failed: ZeroDivisionError"),
        ("self.next()", r".reader: get_next\(\) failed: AttributeError"),
        ("[1]", r".reader: get_next\(\) must return a dict of arrays, got list"),
        ("{'y': 1}", ".reader: sample 0 lacks input 'x'"),
        ("{'x': [[1], [2, 3]]}", ".reader: sample 0 cannot be read: ValueError"),
        ("{'x': [1, 2]}", ": sample 0: input 'x' wants float32, got int64"),
        ("{'x': np.ones(3)}", r": sample 0: input 'x' wants shape \[1, 2\], got \[3\]"),
        ("{'x': np.full(2, np.inf)}", ": sample 0: input 'x' holds NaN or infinity"),
        ("{'x': None}", ": sample 0: input 'x' wants float32, got object"),
    ],
)
def test_a_mistake_of_a_reader_is_told_with_its_place(read, answer, message):
    with pytest.raises(DataError, match=f"^data.calibration{message}"):
        read("def get_next(self):", f"    return {answer}")


def test_a_reader_that_cannot_be_made_is_told(read):
    with pytest.raises(
        DataError, match="^data.calibration.reader: .*:Reader cannot be used: ZeroDivisionError"
    ):
        read("def __init__(self):", "    1 / 0")


def test_what_a_reader_says_of_itself_is_a_warning_on_one_line(read, caplog):
    data = read("note = 'made up:\\n replace me'", *GIVES_THREE)
    assert data.note == data.spread(2).note == r"made up:\n replace me"
    assert [record.getMessage() for record in caplog.records] == [
        r"data.calibration.reader: made up:\n replace me"
    ]
    caplog.clear()
    read("note = 3", *GIVES_THREE)
    assert not caplog.records
    with pytest.raises(
        DataError, match="data.calibration.reader: its note cannot be read: ZeroDivisionError"
    ):
        read("note = property(lambda self: 1 / 0)", *GIVES_THREE)


def test_a_reader_without_an_end_is_stopped_where_the_memory_would_run_out(read, monkeypatch):
    monkeypatch.setattr(planner.inputs.reader_samples, "available_bytes", lambda: 160)
    with pytest.raises(DataError, match="gives more than 11 samples, which do not fit into half of the free"):
        read("def get_next(self):", "    return {'x': np.ones(2, np.float32)}")
