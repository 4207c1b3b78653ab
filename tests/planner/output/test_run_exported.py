import numpy as np
import onnx
import pytest
from delivered_plans import answers_of, delivered
from npz_archives import arrays_of

from planner.errors import DataError, OutputError
from planner.output.plan_folder import write_export
from planner.output.run_exported import answered_outputs, run_folder, write_arrays
from planner.output.run_input import RunInput
from planner.output.saved_plan import read_manifest, read_stage
from profiling.runtime.open_session import Runtime, open_session, run_session


@pytest.fixture(scope="module")
def folder(request, tmp_path_factory):
    place = tmp_path_factory.mktemp("exported") / "plan"
    write_export(*delivered(request.getfixturevalue("residual")), place)
    return place


@pytest.fixture
def source(residual, tmp_path):
    np.savez(tmp_path / "x.npz", x=np.stack([feeds["x"] for feeds in residual.samples]))
    return tmp_path / "x.npz"


def test_all_stages_answer_as_the_mixed_model_does_for_each_sample(residual, folder, source, tmp_path):
    assert run_folder(folder, source, tmp_path / "y.npz", None) == ("y",)
    session = open_session(onnx.load(folder / "model.onnx"), Runtime())
    whole = np.stack([run_session(session, feeds)["y"] for feeds in residual.samples])
    found = answers_of(tmp_path / "y.npz")
    assert found.shape == (len(residual.samples), *residual.graph.tensors["y"].shape)
    np.testing.assert_allclose(found, whole, atol=1e-5)


def test_stage_by_stage_gives_the_same_bits(folder, source, tmp_path):
    run_folder(folder, source, tmp_path / "y.npz", None)
    values = arrays_of(source)
    for stage in read_manifest(folder).stages:
        np.savez(tmp_path / "in.npz", **values)
        names = run_folder(folder, tmp_path / "in.npz", tmp_path / "out.npz", stage.number)
        assert names == tuple(port.name for port in stage.outputs)
        values |= arrays_of(tmp_path / "out.npz")
    assert values["y"].tobytes() == answers_of(tmp_path / "y.npz").tobytes()


def test_a_device_names_its_stage(folder, source, tmp_path):
    stages = read_manifest(folder).stages
    devices = [stage.device for stage in stages]
    for stage in stages:
        if devices.count(stage.device) == 1:
            assert read_stage(folder, stage.device) == read_stage(folder, stage.number)
        else:
            with pytest.raises(OutputError, match=f"--stage {stage.device}: give a number: the plan has"):
                read_stage(folder, stage.device)
    assert 1 in map(devices.count, devices)
    with pytest.raises(OutputError, match="--stage nobody: the plan has stages 00 "):
        run_folder(folder, source, tmp_path / "y.npz", "nobody")


def test_answers_are_not_written_under_a_name_of_another_format(folder, source, tmp_path):
    with pytest.raises(OutputError, match=r"how outputs are read, .*; write .*answers\.npz"):
        run_folder(folder, source, tmp_path / "answers.json", None)
    assert not (tmp_path / "answers.json").exists()


def test_a_table_is_of_the_whole_models_classes(folder, source, tmp_path):
    with pytest.raises(OutputError, match="a .csv holds the model's classes: leave --stage out"):
        run_folder(folder, source, tmp_path / "answers.csv", 0)
    assert not (tmp_path / "answers.csv").exists()


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (".", "Is a directory"),
        ("no/folder/y.npz", "its folder does not exist"),
        ("x.npz/y.npz", "its folder does not exist"),
    ],
)
def test_a_place_that_cannot_be_written_is_refused_before_anything_is_read(folder, tmp_path, target, message):
    (tmp_path / "x.npz").write_text("no archive")
    with pytest.raises(OutputError, match=message):
        run_folder(folder, tmp_path / "x.npz", tmp_path / target, None)


def test_a_failure_leaves_the_older_answers(folder, tmp_path):
    (tmp_path / "y.npz").write_text("old")
    np.savez(tmp_path / "x.npz", x=np.zeros((1, 9), np.float32))
    with pytest.raises(DataError):
        run_folder(folder, tmp_path / "x.npz", tmp_path / "y.npz", None)
    assert (tmp_path / "y.npz").read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.npz", "y.npz"]


def test_answers_are_not_written_over_the_samples_by_whatever_name(folder, source, tmp_path):
    (tmp_path / "link.npz").symlink_to(source)
    before = source.read_bytes()
    for target in (source, tmp_path / "link.npz", tmp_path / "." / "x.npz"):
        with pytest.raises(OutputError, match="is the input itself"):
            run_folder(folder, source, target, None)
    assert source.read_bytes() == before


def test_a_stage_that_is_not_there_is_told(folder, source, tmp_path):
    with pytest.raises(OutputError, match="--stage 7: the plan has stages 00"):
        run_folder(folder, source, tmp_path / "y.npz", 7)


def test_outputs_may_be_called_as_anything(tmp_path):
    answers = {name: np.full(3, i) for i, name in enumerate(("file", "files", "allow_pickle", "a/b"))}
    write_arrays(tmp_path / "y.npz", answers)
    with np.load(tmp_path / "y.npz") as written:
        assert {name: written[name].tolist() for name in written.files} == {
            name: array.tolist() for name, array in answers.items()
        }


def test_outputs_of_samples_that_have_some_are_numbered():
    rows = [{"samples": np.full(2, number)} if number != 1 else None for number in range(4)]
    found = answered_outputs(rows, ["samples"], RunInput([{}] * 4, ("a.png", "b.png", "c.png", "d.png")))
    assert found["samples"].tolist() == [[0, 0], [2, 2], [3, 3]]
    assert found["files"].tolist() == ["a.png", "c.png", "d.png"]
    assert found["_samples"].tolist() == [0, 2, 3]
    assert list(answered_outputs(rows[2:], ["samples"], RunInput([{}] * 2))) == ["samples"]
