import numpy as np
import pytest

from planner.errors import DataError
from planner.inputs.dataset import Input
from planner.inputs.npz_samples import array_names, npz_samples
from planner.scenario.data_schema import SampleSpec

X = np.arange(10 * 3, dtype=np.float32).reshape(10, 3)
INPUTS = [Input("x", "float32", (1, 3))]


@pytest.fixture
def read(tmp_path):
    def call(tensors=INPUTS, arrays=None, **spec):
        known = {"x": X, "y": np.arange(10), "half": X[:5]} | (arrays or {})
        np.savez(tmp_path / "d.npz", **known)
        return npz_samples(SampleSpec(npz=str(tmp_path / "d.npz"), **spec), tensors, "data.evaluation")

    return call


def test_each_row_is_a_sample_with_its_label(read):
    data = read(labels="y", label_offset=3)
    np.testing.assert_array_equal(np.concatenate([feeds["x"] for feeds in data.samples]), X)
    assert data.labels.tolist() == list(range(3, 13))


def test_samples_of_a_subset_keep_their_labels(read):
    data = read(labels="y", subset={"modulo": 4, "equals": (1, 2)})
    assert data.labels.tolist() == [1, 2, 5, 6, 9]
    assert [feeds["x"][0, 0] for feeds in data.samples] == [3.0 * n for n in data.labels]


def test_several_inputs_take_their_arrays_by_name_or_as_the_scenario_says(read):
    inputs = [*INPUTS, Input("z", "int64", ())]
    data = read(inputs, inputs={"z": "y"})
    assert [int(feeds["z"]) for feeds in data.samples] == list(range(10))
    assert data.labels is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"inputs": {"q": "y"}}, "data.evaluation.inputs: the model has no input 'q'; it has x"),
        ({"inputs": {"x": "q"}}, "has no array 'q' for input 'x'; it has x, y, half"),
        ({"arrays": {"x": np.float32(1)}}, "array 'x' of .* is a single number, not samples"),
        ({"labels": "q"}, "data.evaluation.labels: must name an array of .*: x, y, half"),
        ({"labels": "x"}, r"array 'x' must hold 10 whole numbers, got float32 \[10, 3\]"),
        ({"labels": "y", "arrays": {"y": np.arange(9)}}, r"must hold 10 whole numbers, got int64 \[9\]"),
        (
            {"arrays": {"x": np.full((10, 3), np.nan, np.float32)}},
            "sample 0: input 'x' holds NaN or infinity",
        ),
        ({"arrays": {"x": X.astype(np.int32)}}, "sample 0: input 'x' wants float32, got int32"),
    ],
)
def test_what_does_not_fit_is_told_with_its_place(read, changes, message):
    with pytest.raises(DataError, match=message):
        read(**changes)


def test_arrays_of_different_lengths_are_refused(read):
    with pytest.raises(DataError, match="different numbers of samples: x 10, half 5; the first dim"):
        read([*INPUTS, Input("half", "float32", (1, 3))])


def test_the_names_are_told_and_a_missing_file_with_the_key_that_wants_it(read, tmp_path):
    read()
    assert array_names(tmp_path / "d.npz", "data.calibration") == ("x", "y", "half")
    with pytest.raises(DataError, match=r"data\.calibration\.npz: .*q\.npz does not exist"):
        array_names(tmp_path / "q.npz", "data.calibration")
