import json

import numpy as np
import pytest
from delivered_plans import delivered
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from made_records import SCENARIO
from PIL import Image

from planner.errors import DataError, ScenarioError
from planner.output.run_input import given_run_input, read_run_input
from planner.plan.manifest import Port
from profiling.records.json_files import save_json

PICTURE = Port(name="x", dtype="float32", shape=(1, 3, 4, 6))


def samples(source, ports, folder, outer=("x",)) -> list[dict[str, np.ndarray]]:
    return list(read_run_input(source, ports, outer, folder).samples)


def saved(folder, **arrays):
    np.savez(folder / "in.npz", **arrays)
    return folder / "in.npz"


@settings(max_examples=40, deadline=None)
@given(
    hnp.array_shapes(min_dims=0, max_dims=3, min_side=1, max_side=3),
    st.booleans(),
    st.none() | st.integers(1, 4),
    st.sampled_from(["float32", "int64", "bool"]),
)
def test_an_array_is_one_sample_or_several_with_or_without_the_models_first_axis(
    tmp_path_factory, shape, batched, count, dtype
):
    port = Port(name="x", dtype=dtype, shape=(1, *shape) if batched else shape)
    one = np.arange(int(np.prod(shape)) or 1).reshape(shape).astype(dtype)
    value = one if count is None else np.stack([one] * count)
    folder = tmp_path_factory.mktemp("in")
    found = samples(saved(folder, x=value), [port], folder)
    ambiguous = (batched and count == 1) or (batched and shape[:1] == (1,) and count is None)
    if not ambiguous:
        assert len(found) == (count or 1)
    for feeds in found:
        assert feeds["x"].shape == port.shape
        assert feeds["x"].dtype == dtype
        assert (feeds["x"].reshape(shape) == one).all()


def test_arrays_in_memory_are_read_as_those_of_a_file(tmp_path):
    rng = np.random.default_rng(0)
    save_json({"format": 3}, tmp_path / "x.json")
    ports = [PICTURE, Port(name="n", dtype="int64", shape=(2,))]
    arrays = {"x": rng.normal(size=(3, 3, 4, 6)), "n": np.arange(6).reshape(3, 2), "other": np.zeros(1)}
    in_file = samples(saved(tmp_path, **arrays), ports, tmp_path)
    in_memory = list(given_run_input(arrays, ports, ("x", "n"), tmp_path).samples)
    assert len(in_memory) == 3
    for mine, theirs in zip(in_memory, in_file, strict=True):
        assert mine.keys() == theirs.keys()
        assert all(mine[name].tobytes() == theirs[name].tobytes() for name in mine)


@pytest.mark.parametrize(
    ("arrays", "text"),
    [
        ({}, "inputs: has no array 'x'; it has none"),
        ({"X": np.zeros(1)}, "inputs: has no array 'x'; it has X"),
        ({"x": [["a"]]}, "inputs: 'x' wants float32"),
        ({"x": [[1.0], [1.0, 2.0]]}, "inputs: 'x' is no array: setting an array element"),
        ({"x": np.zeros((0, 3, 4, 6), np.float32)}, "inputs: holds no samples"),
    ],
)
def test_arrays_in_memory_that_do_not_fit_are_refused(arrays, text, tmp_path):
    with pytest.raises(DataError) as caught:
        given_run_input(arrays, [PICTURE], ("x",), tmp_path)
    assert text in str(caught.value)


def test_channels_that_stand_last_are_brought_first_where_the_source_has_them_so(tmp_path):
    value = np.random.default_rng(0).normal(size=(2, 4, 6, 3)).astype(np.float32)
    port = Port(name="x", dtype="float32", shape=(1, 3, 4, 6), channels_last=True)
    found = samples(saved(tmp_path, x=value), [port], tmp_path)
    np.testing.assert_array_equal(np.concatenate([f["x"] for f in found]), value.transpose(0, 3, 1, 2))
    with pytest.raises(DataError, match=r"'x' wants float32, shape \[1, 3, 4, 6\] or \[samples, ...\]"):
        samples(tmp_path / "in.npz", [PICTURE], tmp_path)


def test_floats_of_another_width_are_taken_and_other_types_refused(tmp_path):
    port = Port(name="x", dtype="float32", shape=(2,))
    (feeds,) = samples(saved(tmp_path, x=np.array([0.5, 1.5])), [port], tmp_path)
    assert feeds["x"].tolist() == [0.5, 1.5]
    assert feeds["x"].dtype == np.float32
    with pytest.raises(DataError, match=r"'x' wants float32, shape \[2\] .*, got int64 \[2\]"):
        samples(saved(tmp_path, x=np.array([1, 2])), [port], tmp_path)


def test_several_inputs_go_together_and_must_count_alike(tmp_path):
    ports = [Port(name=name, dtype="float32", shape=(2,)) for name in "xz"]
    x, z = np.eye(2, dtype=np.float32), 5 * np.eye(2, dtype=np.float32)
    first, second = samples(saved(tmp_path, x=x, z=z, other=np.zeros(9)), ports, tmp_path)
    assert (first["x"].tolist(), second["z"].tolist()) == ([1, 0], [0, 5])
    with pytest.raises(DataError, match=r"different numbers of samples: \{'x': 2, 'z': 1\}"):
        samples(saved(tmp_path, x=x, z=z[:1]), ports, tmp_path)
    with pytest.raises(DataError, match="has no array 'z'; it has x"):
        samples(saved(tmp_path, x=x), ports, tmp_path)
    with pytest.raises(DataError, match="holds no samples"):
        samples(saved(tmp_path, x=x[:0], z=z[:0]), ports, tmp_path)


@pytest.fixture
def plan_folder(residual, tmp_path):
    """A folder with a plan alone, whose scenario says how pictures are prepared."""

    def make(**changes):
        parts = {"calibration": {"npz": "c.npz"}, "evaluation": {"npz": "e.npz"}} | changes
        plan, _ = delivered(residual, SCENARIO | {"data": parts})
        (tmp_path / "plan").mkdir(exist_ok=True)
        save_json(plan, tmp_path / "plan" / "plan.json")
        return tmp_path / "plan"

    return make


PIXELS = np.random.default_rng(2).integers(0, 256, size=(3, 4, 6, 3)).astype(np.uint8)
FINISHED = (PIXELS.astype(np.float32) / 255).transpose(0, 3, 1, 2)


def test_bytes_for_a_float_input_are_pixels_prepared_as_the_scenario_says(plan_folder, tmp_path):
    folder = plan_folder(evaluation={"npz": "e.npz", "image": {"divide_by": 255.0}})
    for value, count in ((PIXELS, 3), (PIXELS[0], 1)):
        found = samples(saved(tmp_path, x=value), [PICTURE], folder)
        np.testing.assert_array_equal(np.concatenate([f["x"] for f in found]), FINISHED[:count])
    (feeds,) = samples(saved(tmp_path, x=FINISHED[0]), [PICTURE], folder)
    np.testing.assert_array_equal(feeds["x"][0], FINISHED[0])


def test_without_a_word_on_pictures_or_without_a_plan_they_cannot_be_prepared(plan_folder, tmp_path):
    source = saved(tmp_path, x=PIXELS)
    with pytest.raises(DataError, match="does not say how pictures are prepared; give arrays"):
        samples(source, [PICTURE], plan_folder())
    with pytest.raises(DataError, match="put that beside the manifest"):
        samples(source, [PICTURE], tmp_path)


def test_a_picture_that_is_not_there_is_told_by_its_option(plan_folder, tmp_path):
    file = tmp_path / "nofile.jpg"
    folder = plan_folder(calibration={"images": "p", "image": {"divide_by": 255.0}})
    feeds = read_run_input(file, [PICTURE], ["x"], folder).samples
    with pytest.raises(DataError, match=rf"^--input {file}: {file} cannot be read as a picture: No such"):
        feeds[0]


def test_a_file_of_pictures_or_a_folder_by_name_is_prepared_alike(plan_folder, tmp_path):
    folder = plan_folder(calibration={"images": "p", "image": {"divide_by": 255.0}})
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for name, pixels in zip(("b.png", "a.bmp", "c.PNG"), PIXELS, strict=True):
        Image.fromarray(pixels).save(pictures / name)
    (pictures / "notes.txt").write_text("none")
    given_all = read_run_input(pictures, [PICTURE], ["x"], folder)
    assert given_all.files == ("a.bmp", "b.png", "c.PNG")
    found = np.concatenate([feeds["x"] for feeds in given_all.samples])
    np.testing.assert_array_equal(found, FINISHED[[1, 0, 2]])
    one = read_run_input(pictures / "b.png", [PICTURE], ["x"], folder)
    assert one.files == ("b.png",)
    np.testing.assert_array_equal(one.samples[0]["x"][0], FINISHED[0])


def test_a_folder_of_class_folders_gives_their_pictures(plan_folder, tmp_path):
    folder = plan_folder(calibration={"images": "p", "image": {"divide_by": 255.0}})
    for name, pixels in zip(("dog/a.png", "cat/b.png", "dog/c.png"), PIXELS, strict=True):
        path = tmp_path / "classes" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    given = read_run_input(tmp_path / "classes", [PICTURE], ["x"], folder)
    assert given.files == ("cat/b.png", "dog/a.png", "dog/c.png")
    found = np.concatenate([feeds["x"] for feeds in given.samples])
    np.testing.assert_array_equal(found, FINISHED[[1, 0, 2]])


def test_pictures_feed_one_input_of_the_model_only(plan_folder, tmp_path):
    folder = plan_folder(evaluation={"npz": "e.npz", "image": {"divide_by": 255.0}})
    Image.fromarray(PIXELS[0]).save(tmp_path / "a.png")
    for ports, outer in (([PICTURE, Port(name="z", dtype="bool", shape=())], "xz"), ([PICTURE], "z")):
        with pytest.raises(DataError, match="pictures feed a model with one input; here an .npz must give x"):
            samples(tmp_path / "a.png", ports, folder, outer)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no pictures"):
        samples(tmp_path / "empty", [PICTURE], folder)


def test_an_array_that_the_scenario_calls_otherwise_is_found(plan_folder, tmp_path):
    folder = plan_folder(evaluation={"npz": "e.npz", "inputs": {"x": "picture"}})
    (feeds,) = samples(saved(tmp_path, picture=FINISHED[0]), [PICTURE], folder)
    np.testing.assert_array_equal(feeds["x"][0], FINISHED[0])


def test_the_scenarios_own_file_is_prepared_as_that_part_says_even_if_it_would_fit(plan_folder, tmp_path):
    square = Port(name="x", dtype="float32", shape=(1, 3, 3, 3))
    value = np.random.default_rng(3).normal(size=(2, 3, 3, 3)).astype(np.float32)
    source = saved(tmp_path, x=value)
    folder = plan_folder(calibration={"npz": str(source), "image": {"scale_by": 2.0}})
    found = np.concatenate([feeds["x"] for feeds in samples(source, [square], folder)])
    np.testing.assert_array_equal(found, value.transpose(0, 3, 1, 2) / 2)


def test_in_the_scenarios_own_file_its_name_of_an_array_counts_more_than_the_inputs(plan_folder, tmp_path):
    source = saved(tmp_path, x=FINISHED[0], picture=FINISHED[1])
    folder = plan_folder(evaluation={"npz": str(source), "inputs": {"x": "picture"}})
    (feeds,) = samples(source, [PICTURE], folder)
    np.testing.assert_array_equal(feeds["x"][0], FINISHED[1])


def test_pixels_are_prepared_as_the_part_that_reads_such_a_source_says(plan_folder, tmp_path):
    folder = plan_folder(
        evaluation={"images": "p", "image": {"divide_by": 2.0}},
        calibration={"npz": "c.npz", "image": {"divide_by": 4.0}},
    )
    (feeds,) = samples(saved(tmp_path, x=PIXELS[0]), [PICTURE], folder)
    np.testing.assert_array_equal(feeds["x"][0], PIXELS[0].transpose(2, 0, 1) / np.float32(4))
    Image.fromarray(PIXELS[0]).save(tmp_path / "a.png")
    (feeds,) = samples(tmp_path / "a.png", [PICTURE], folder)
    np.testing.assert_array_equal(feeds["x"][0], PIXELS[0].transpose(2, 0, 1) / np.float32(2))


@pytest.fixture
def scenario(tmp_path):
    """A scenario whose evaluation samples lie beside it, under another name and as pixels."""

    def make(name: str = "s.yaml"):
        np.savez(tmp_path / "e.npz", pixels=PIXELS, label=np.arange(3))
        part = {"npz": "e.npz", "inputs": {"x": "pixels"}, "labels": "label", "image": {"divide_by": 255.0}}
        (tmp_path / "m.onnx").touch()
        content = SCENARIO | {"model": "m.onnx", "data": {"calibration": part, "evaluation": part}}
        (tmp_path / name).write_text(json.dumps(content))
        return tmp_path / name

    return make


@pytest.mark.parametrize("name", ["s.yaml", "s.yml", "s.json"])
def test_of_a_scenario_the_evaluation_samples_are_read_as_it_says(name, scenario, tmp_path):
    found = samples(scenario(name), [PICTURE], tmp_path)
    np.testing.assert_array_equal(np.concatenate([feeds["x"] for feeds in found]), FINISHED)


def test_a_scenario_feeds_a_model_and_no_stage_behind_another(scenario, tmp_path):
    between = Port(name="cut", dtype="float32", shape=(1, 4))
    with pytest.raises(DataError, match="here an .npz must give cut"):
        samples(scenario(), [between], tmp_path)
    with pytest.raises(ScenarioError, match="nowhere.yaml: No such file"):
        samples(tmp_path / "nowhere.yaml", [PICTURE], tmp_path)
