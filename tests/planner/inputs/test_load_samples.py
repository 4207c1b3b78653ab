import numpy as np
import pytest

from planner.errors import DataError
from planner.inputs.dataset import Input
from planner.inputs.load_samples import check_names, load_data
from planner.scenario.data_schema import SampleSpec

X = Input("x", "float32", (1, 3))


@pytest.fixture
def archive(tmp_path) -> str:
    np.savez(tmp_path / "d.npz", x=np.arange(30, dtype=np.float32).reshape(10, 3), y=np.arange(10))
    return str(tmp_path / "d.npz")


def test_a_subset_is_taken_before_samples_are_spread(archive):
    spec = SampleSpec(npz=archive, labels="y", samples=3, subset={"modulo": 2, "equals": (1,)})
    data = load_data(spec, [X], "d")
    assert data.labels.tolist() == [1, 5, 9]
    assert [feeds["x"][0, 0] for feeds in data.samples] == [3.0, 15.0, 27.0]


@pytest.mark.parametrize("count", range(1, 13))
def test_spread_samples_are_in_order_with_both_ends_and_even_steps(archive, count):
    labels = load_data(SampleSpec(npz=archive, labels="y", samples=count), [X], "d").labels.tolist()
    assert len(labels) == min(count, 10)
    steps = np.diff(labels)
    assert np.all(steps > 0)
    if count > 1:
        assert (labels[0], labels[-1]) == (0, 9)
        assert max(steps) - min(steps) <= 1


def test_no_samples_are_an_error_wherever_they_come_from(archive, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "nothing.py").write_text("class R:\n    def get_next(self): return None")
    reader = SampleSpec(reader="m:R").model_copy(update={"reader": f"{tmp_path}/nothing:R"})
    for spec in (
        SampleSpec(npz=archive, subset={"modulo": 20, "equals": (15,)}),
        SampleSpec(images=str(tmp_path / "empty"), image={}),
        reader,
    ):
        tensor = X if spec.images is None else Input("x", "float32", (1, 3, 2, 2))
        with pytest.raises(DataError, match="data.calibration: no samples are left"):
            load_data(spec, [tensor], "data.calibration")


def test_names_that_are_there_pass_before_the_model_is_known(archive, tmp_path):
    table = tmp_path / "t.csv"
    table.write_text("file,label\na.png,1\n")
    check_names(SampleSpec(npz=archive, inputs={"any": "x"}, labels="y"), "d")
    check_names(SampleSpec(images=str(tmp_path), image={}, labels={"file": str(table)}), "d")
    check_names(SampleSpec(images=str(tmp_path), image={}), "d")


def test_names_that_are_not_there_are_told_before_the_model_is_known(archive, tmp_path):
    table = tmp_path / "t.csv"
    table.write_text("file,label\na.png,1\n")
    (tmp_path / "beside_it.py").write_text("")
    columns = {"file": str(table), "label_column": "class"}
    reader = SampleSpec(reader="m:R").model_copy(update={"reader": f"{tmp_path}/beside_it:R"})
    for spec, message in (
        (
            SampleSpec(npz=archive, inputs={"in": "q"}),
            "d.inputs: .* has no array 'q' for input 'in'; it has x, y",
        ),
        (SampleSpec(npz=archive, labels="q"), "d.labels: must name an array of .*: x, y"),
        (SampleSpec(npz=f"{tmp_path}/q.npz"), "d.npz: .*q.npz does not exist"),
        (SampleSpec(images=str(tmp_path), image={}, labels=columns), "d.labels: .* has no column 'class'"),
        (reader, "d.reader: beside_it:R cannot be used: AttributeError"),
    ):
        with pytest.raises(DataError, match=message):
            check_names(spec, "d")
