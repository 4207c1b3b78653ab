"""A first scenario loads, its samples fit the model, and nothing is written over or left half done."""

import importlib.util
import itertools
from pathlib import Path

import numpy as np
import onnx
import pytest
from repository import QUICKSTART
from text_models import make

from planner.errors import OutputError, ScenarioError, UsageError
from planner.inputs.prepared_scenario import load_datasets, load_source
from planner.inputs.starter.starter_scenario import starter_files
from planner.scenario.loader import load_scenario
from profiling.errors import ModelError

DIGITS = QUICKSTART.parent / "quickstart" / "digits.onnx"
numbers = itertools.count()


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def out() -> Path:
    """A scenario's name that no other test uses: modules of equal names would be loaded once."""
    return Path(f"first{next(numbers)}.yaml")


def save(text: str, path: Path, weights: dict | None = None) -> str:
    path.parent.mkdir(exist_ok=True, parents=True)
    onnx.save(make(text, weights or {}), path)
    return str(path)


def written(model: str, out: Path, shapes: dict | None = None):
    """Write a first scenario, and return it with its calibration and evaluation samples, loaded."""
    starter_files(model, (), shapes or {}, out).write()
    scenario = load_scenario(out)
    data = load_datasets(scenario, load_source(scenario))
    return scenario, list(data.calibration.samples), list(data.evaluation.samples)


@pytest.mark.usefixtures("here")
def test_a_scenario_for_the_quickstart_s_model_loads_with_samples_that_fit(out):
    scenario, calibration, evaluation = written(str(DIGITS), out)
    assert scenario.model == str(DIGITS)
    assert (scenario.source, scenario.sink) == ("device", "device")
    assert (len(calibration), len(evaluation)) == (48, 32)  # a quarter of 64 is held back
    for feeds in (*calibration, *evaluation):
        assert {name: (value.shape, str(value.dtype)) for name, value in feeds.items()} == {
            "picture": ((1, 1, 64, 64), "float32")
        }
    assert not np.array_equal(calibration[0]["picture"], evaluation[0]["picture"])


@pytest.mark.usefixtures("here")
def test_names_of_inputs_and_files_may_hold_anything(out):
    folder = Path("a folder\nwith # 'odd' \"name\"")
    text = "(float[1,4] x, int64[1,2] ids, bool[1] b) => (float[1,4] y)"
    model = save(f"{text} {{ y = Relu(x) i = Identity(ids) c = Identity(b) }}", folder / "m {0}.onnx")
    loaded = onnx.load(model)
    loaded.graph.input[0].name = loaded.graph.node[0].input[0] = "x:0/{'\"\\"
    onnx.save(loaded, model)
    scenario, calibration, _ = written(model, folder / f"{out.stem} é.yaml")
    assert Path(scenario.model).samefile(model)
    assert calibration[0]["x:0/{'\"\\"].dtype == np.float32
    assert set(np.unique([feeds["ids"] for feeds in calibration])) <= {0, 1}


@pytest.mark.usefixtures("here")
def test_a_model_is_named_from_where_the_scenario_lies(out):
    save("(float[1,4] x) => (float[1,4] y) { y = Relu(x) }", Path("nets/m.onnx"))
    starter_files("nets/m.onnx", (), {}, Path("nets") / out).write()
    assert 'model: "m.onnx"' in (Path("nets") / out).read_text()
    assert Path(load_scenario(Path("nets") / out).model).samefile("nets/m.onnx")


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    "name", ["keras:x.onnx", "~.onnx", "~nobody-here/m.onnx", "$x.onnx", "net:v1", "a:b.onnx"]
)
def test_a_file_s_name_is_that_of_a_file_whatever_else_it_looks_like(name, out):
    save("(float[1,4] x) => (float[1,4] y) { y = Relu(x) }", Path(name))
    scenario, _, _ = written(f"./{name}", out)
    assert Path(scenario.model).samefile(name)


@pytest.mark.usefixtures("here")
def test_a_file_that_a_scenario_cannot_name_is_refused(out):
    model = save("(float[1,4] x) => (float[1,4] y) { y = Relu(x) }", Path("m${HOME}.onnx"))
    with pytest.raises(UsageError, match=r"takes \$\{HOME\} for an environment variable; rename the file"):
        starter_files(model, (), {}, out)


@pytest.mark.usefixtures("here")
def test_given_shapes_stand_in_the_scenario(out):
    model = save("(float[N,T] x) => (float[N,T] y) { y = Relu(x) }", Path("dynamic.onnx"))
    with pytest.raises(ModelError, match="x"):
        starter_files(model, (), {}, out)
    scenario, calibration, _ = written(model, out, {"x": (1, 7)})
    assert dict(scenario.input_shapes) == {"x": (1, 7)}
    assert calibration[0]["x"].shape == (1, 7)


@pytest.mark.usefixtures("here")
def test_large_samples_are_few(out):
    model = save("(float[1,3,512,512] x) => (float[1,3,512,512] y) { y = Relu(x) }", Path("large.onnx"))
    _, calibration, evaluation = written(model, out)
    assert (len(calibration), len(evaluation)) == (12, 8)


def test_files_that_exist_stay_as_they_are(here):
    for name in ("scenario.yaml", "scenario_samples.py"):
        (here / name).write_text("mine")
        with pytest.raises(OutputError, match=f"{name} exists already"):
            starter_files(str(DIGITS), (), {}, here / "scenario.yaml")
        assert (here / name).read_text() == "mine"
        assert [path.name for path in here.iterdir()] == [name]
        (here / name).unlink()


@pytest.mark.parametrize(
    ("model", "out", "error", "text"),
    [
        (DIGITS, "scenario.json", UsageError, "ends in .yaml or .yml"),
        (DIGITS, "none/scenario.yaml", OutputError, "there is no folder none"),
        (QUICKSTART, "scenario.yaml", UsageError, "is a scenario already: plan "),
        ("missing.onnx", "scenario.yaml", ModelError, "missing.onnx"),
        (DIGITS, "digits.onnx", UsageError, "ends in .yaml or .yml"),
    ],
)
def test_what_cannot_be_begun_is_refused(here, model, out, error, text):
    with pytest.raises(error, match=text):
        starter_files(str(model), (), {}, Path(out))
    assert list(here.iterdir()) == []


@pytest.mark.usefixtures("here")
def test_a_wrong_setting_is_told(out):
    with pytest.raises(ScenarioError, match="opset"):
        starter_files(str(DIGITS), ("opset=3",), {}, out)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("stem", ["2nd try", "class", "a-b.c", "é"])
def test_any_file_name_gives_a_module_that_python_imports(stem):
    files = starter_files(str(DIGITS), (), {}, Path(f"{stem}.yaml"))
    assert files.samples.stem.isidentifier()
    files.write()
    spec = importlib.util.spec_from_file_location("made", files.samples)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.Calibration().get_next()["picture"].shape == (1, 1, 64, 64)


def test_each_way_to_give_samples_is_a_scenario_once_it_is_no_comment(here, out):
    starter_files(str(DIGITS), (), {}, out).write()
    text = out.read_text()
    ways = [line for line in text.splitlines() if line.startswith("  # calibration: ")]
    image = "{resize_shorter: 64, crop: 64, divide_by: 255}"
    assert any(f"labels: folders, image: {image}" in way for way in ways)
    given = next(line for line in text.splitlines() if line.startswith("  calibration: "))
    (here / "pictures").mkdir()
    for name in ("calibration.npz", "pictures/labels.tsv", "labels.tsv"):
        (here / name).touch()
    for way in ways:
        out.write_text(text.replace(given, f"  {way.removeprefix('  # ')}"))
        assert load_scenario(out).data.calibration.label_file in {None, "label", str(here / "labels.tsv")}


def detector(path: Path, shape: str = "1,84,85") -> str:
    return save(
        f"(float[1,3,64,64] x) => (float[{shape}] y) {{ m = ReduceMean <keepdims = 0> (x) y = Mul (m, w) }}",
        path,
        {"w": np.ones([int(side) for side in shape.split(",")], np.float32)},
    )


@pytest.mark.parametrize("shape", ["1,84,85", "1,84,300", "1,300,6"])
def test_a_detector_is_offered_its_metric_which_is_a_scenario_once_it_is_no_comment(here, out, shape):
    starter_files(detector(here / "m.onnx", shape), (), {}, out).write()
    text = out.read_text()
    (here / "pictures").mkdir()
    (here / "instances.json").touch()
    for comment, given in (
        ("  # calibration: {images", "  calibration:"),
        ("  # evaluation: {images", "  evaluation:"),
        ("# metric: coco_ap", None),
        ("  # metric_drop", None),
    ):
        way = next(line for line in text.splitlines() if line.startswith(comment))
        before = way if given is None else next(line for line in text.splitlines() if line.startswith(given))
        text = text.replace(before, way.replace("# ", "", 1))
    out.write_text(text)
    scenario = load_scenario(out)
    assert scenario.coco_ap is not None
    assert scenario.budget.metric_drop == 0.02
    assert scenario.data.evaluation.image.letterbox == 64


@pytest.mark.parametrize(("shape", "is_yolox"), [("1,84,85", True), ("1,252,85", False), ("1,85,84", False)])
def test_a_detector_with_a_row_for_each_cell_is_offered_what_yolox_wants(here, out, shape, is_yolox):
    starter_files(detector(here / "m.onnx", shape), (), {}, out).write()
    way = next(line for line in out.read_text().splitlines() if line.startswith("  # evaluation: {images"))
    assert ("letterbox_at: top_left, channels: bgr}" in way) == is_yolox
    assert ("divide_by: 255" in way) != is_yolox


@pytest.mark.parametrize("shape", ["1,10", "1,10,64,64", "1,84,84"])
def test_what_is_no_detector_is_offered_none(here, out, shape):
    starter_files(detector(here / "m.onnx", shape), (), {}, out).write()
    assert "coco_ap" not in out.read_text()


@pytest.mark.parametrize(
    ("model", "most", "image"),
    [
        ("(float[1,3,32,32] x) => (float[1,3,32,32] y) { y = Relu (x) }", 1, "divide_by: 255"),
        ("(float[1,3,32,32] x) => (float[1,3,32,32] y) { y = Mul (x, w) }", 255, "crop: 32}"),
        (
            "(float[1,32,32,3] x) => (float[1,3,32,32] y) "
            "{ t = Transpose <perm = [0,3,1,2]> (x) y = Mul (t, w) }",
            255,
            "layout: nhwc}",
        ),
        ("(float[1,3,32,32] x) => (float[1,3,32,32] y) { y = Div (x, v) }", 255, "crop: 32}"),
        ("(uint8[1,3,32,32] x) => (float[1,3,32,32] y) { y = Cast <to = 1> (x) }", 255, "crop: 32}"),
    ],
)
def test_pictures_are_made_up_as_the_model_takes_their_pixels(here, out, model, most, image):
    weights = {"w": np.array(1 / 255, np.float32), "v": np.array(127.5, np.float32)}
    save(model, here / "m.onnx", {name: one for name, one in weights.items() if f", {name})" in model})
    _, calibration, _ = written(str(here / "m.onnx"), out)
    values = np.stack([feeds["x"] for feeds in calibration])
    assert 0 <= values.min() < 0.2 * most
    assert 0.8 * most < values.max() <= most
    assert image in next(line for line in out.read_text().splitlines() if "labels: folders" in line)


def test_every_part_that_is_made_up_is_marked(here, out):
    starter_files(str(DIGITS), (), {}, out).write()
    lines = out.read_text().splitlines()
    for part in ("data:", "devices:", "links:", "budget:"):
        above = itertools.takewhile(lambda line: line.startswith("#"), reversed(lines[: lines.index(part)]))
        assert any("REPLACE" in line for line in above), part
