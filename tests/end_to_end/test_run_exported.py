"""`plan run`: arrays, scalars and pictures give the model's own answers; a stage needs its own files only."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from npz_archives import arrays_of
from PIL import Image
from planned_models import plan_model
from quickstart_settings import CUT, FAST
from repository import QUICKSTART, ROOT

from planner.cli.commands import main
from planner.output.plan_folder import write_outcome
from planner.output.run_exported import run_folder
from planner.output.saved_plan import read_manifest

EVALUATION = ROOT / "scenarios" / "quickstart" / "evaluation.npz"


@pytest.fixture(scope="module")
def delivered(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "plan"
    with pytest.raises(SystemExit) as done:
        main([str(QUICKSTART), "--out", str(folder), *CUT, *FAST])
    assert done.value.code == 0
    return folder


@pytest.fixture
def run(capsys, tmp_path):
    def call(folder: Path, given: Path, *more: str) -> tuple[int, str, dict[str, np.ndarray]]:
        target = tmp_path / "answers.npz"
        with pytest.raises(SystemExit) as done:
            main(["run", str(folder), "--input", str(given), "--output", str(target), *more])
        found = arrays_of(target) if done.value.code == 0 else {}
        return done.value.code, capsys.readouterr().err, found

    return call


@pytest.fixture
def pixels() -> np.ndarray:
    return arrays_of(EVALUATION)["picture"][:6]


@pytest.fixture
def answers(run, delivered, pixels, tmp_path) -> np.ndarray:
    """What finished arrays give."""
    x = (pixels / np.float32(255)).transpose(0, 3, 1, 2).astype(np.float32)
    np.savez(tmp_path / "x.npz", picture=x)
    return run(delivered, tmp_path / "x.npz")[2]["logits"]


def test_the_scenarios_own_file_is_prepared_as_it_says(run, delivered, answers):
    code, err, found = run(delivered, EVALUATION)
    assert (code, err) == (0, "")
    assert found["logits"][:6].tobytes() == answers.tobytes()


def test_pixels_pictures_and_one_picture_give_what_finished_arrays_do(
    run, delivered, pixels, answers, tmp_path
):
    np.savez(tmp_path / "p.npz", picture=pixels, other=np.zeros(3))
    assert run(delivered, tmp_path / "p.npz")[2]["logits"].tobytes() == answers.tobytes()
    (tmp_path / "pictures").mkdir()
    for number, one in enumerate(pixels):
        Image.fromarray(one[..., 0]).save(tmp_path / "pictures" / f"{number}.png")
    (tmp_path / "pictures" / "notes.txt").write_text("no picture")
    found = run(delivered, tmp_path / "pictures")[2]
    assert found["logits"].tobytes() == answers.tobytes()
    assert found["files"].tolist() == [f"{number}.png" for number in range(6)]
    table = tmp_path / "answers.csv"
    assert run_folder(delivered, tmp_path / "pictures", table, None) == ("logits",)
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert [(row["file"], int(row["class"])) for row in rows] == [
        (f"{number}.png", answer.argmax()) for number, answer in enumerate(answers)
    ]
    found = run(delivered, tmp_path / "pictures" / "3.png")[2]
    assert found["logits"].tobytes() == answers[3:4].tobytes()


def test_a_stage_needs_its_own_file_and_the_manifest_only(run, delivered, answers, tmp_path):
    manifest = read_manifest(delivered)
    values = arrays_of(tmp_path / "x.npz")
    for stage in manifest.stages:
        folder = tmp_path / f"device{stage.number}"
        (folder / "stages").mkdir(parents=True)
        shutil.copy(delivered / "manifest.json", folder)
        shutil.copy(delivered / stage.file, folder / stage.file)
        np.savez(tmp_path / "in.npz", **values)
        code, err, found = run(folder, tmp_path / "in.npz", "--stage", str(stage.number))
        assert (code, err) == (0, "")
        values |= found
    assert values["logits"].tobytes() == answers.tobytes()
    code, err, _ = run(tmp_path / "device0", EVALUATION, "--stage", "0")
    assert code == 1
    assert "put that beside the manifest" in err


def test_scalars_and_all_types_round_trip(run, tmp_path):
    text = """<ir_version: 8, opset_import: ["" : 17]>
    g (float[1,8] x, int64 k, bool[1,8] m, float16[1,2] h, double[2] d)
      => (float[1,8] y, float s, int64 k2, bool[1,8] m2, float16[1,2] h2, double[2] d2) {
        f = Cast <to = 1> (k)
        z = Mul (x, f)
        y = Relu (z)
        s = ReduceSum <keepdims = 0> (z)
        k2 = Add (k, k)
        m2 = Not (m)
        h2 = Add (h, h)
        d2 = Add (d, d)
    }"""
    rng = np.random.default_rng(0)
    arrays = {
        "x": rng.normal(size=(12, 8)).astype(np.float32),
        "k": np.arange(12),
        "m": rng.normal(size=(12, 8)) > 0,
        "h": rng.normal(size=(12, 1, 2)).astype(np.float16),
        "d": rng.normal(size=(12, 2)),
    }
    model = onnx.parser.parse_model(text)
    write_outcome(plan_model(tmp_path, model, arrays, precisions=["fp32"]), tmp_path / "plan")
    code, err, found = run(tmp_path / "plan", tmp_path / "d.npz")
    assert (code, err) == (0, "")
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    shapes = {"x": (1, 8), "k": (), "m": (1, 8), "h": (1, 2), "d": (2,)}
    for i in range(12):
        feeds = {name: np.asarray(arrays[name][i]).reshape(shape) for name, shape in shapes.items()}
        for name, want in zip([o.name for o in session.get_outputs()], session.run(None, feeds), strict=True):
            assert found[name][i].dtype == want.dtype
            assert found[name][i].shape == want.shape
            assert np.allclose(found[name][i], want, rtol=1e-6)


def edited(folder: Path, tmp_path: Path, change) -> Path:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    content = json.loads((copy / "manifest.json").read_text())
    change(content, copy)
    (copy / "manifest.json").write_text(json.dumps(content))
    return copy


def absolute(manifest, folder):
    manifest["stages"][0]["file"] = str(folder / manifest["stages"][0]["file"])


def outside(manifest, folder):
    (folder / "stages" / "00-camera.onnx").rename(folder.parent / "s.onnx")
    manifest["stages"][0]["file"] = "../s.onnx"


def linked(manifest, folder):
    own = folder / manifest["stages"][0]["file"]
    own.rename(folder.parent / "s.onnx")
    own.symlink_to(folder.parent / "s.onnx")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m, f: m["outputs"].clear(), "its outputs are not those that the manifest has"),
        (absolute, "points outside the folder"),
        (outside, "points outside the folder"),
        (linked, "points outside the folder"),
        (lambda m, f: m["stages"][0].update(number=5), "stages.0.number is 5"),
        (lambda m, f: m["stages"].reverse(), "which no stage gives"),
        (lambda m, f: m["stages"][0]["outputs"][0].update(dtype="int8"), "stage 1 needs"),
        (lambda m, f: m["inputs"][0].update(dtype="float64"), "stage 0 needs 'picture'"),
        (lambda m, f: m["outputs"][0].update(shape=[1, 9]), "no stage gives the output 'logits'"),
        (lambda m, f: m["stages"][1]["outputs"].append(m["inputs"][0]), "is given twice"),
        (
            lambda m, f: m["stages"][1]["outputs"].append(m["inputs"][0] | {"name": "z"}),
            "its outputs are not",
        ),
        (
            lambda m, f: (m["inputs"][0].update(shape=[4]), m["stages"][0]["inputs"][0].update(shape=[4])),
            "its inputs",
        ),
    ],
)
def test_a_manifest_that_lies_is_refused_before_anything_runs(change, message, run, delivered, tmp_path):
    code, err, _ = run(edited(delivered, tmp_path, change), EVALUATION)
    assert code == 1
    assert message in err
    assert len(err.splitlines()) == 1


def test_weights_outside_the_folder_are_refused_with_a_matching_hash(run, delivered, tmp_path):
    from planner.output.file_hash import sha256_of

    def change(manifest, folder):
        path = folder / manifest["stages"][0]["file"]
        model = onnx.load(path)
        tensor = model.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="../../secret")
        path.write_bytes(model.SerializeToString())
        manifest["stages"][0]["sha256"] = sha256_of(path)

    code, err, _ = run(edited(delivered, tmp_path, change), EVALUATION)
    assert code == 1
    assert "reads weights from '../../secret'" in err


def test_a_pipe_and_a_deep_manifest_are_refused(run, delivered, tmp_path):
    import os

    copy = tmp_path / "copy"
    shutil.copytree(delivered, copy)
    (copy / "manifest.json").write_text('{"format": 3, "x": ' + "[" * 100_000 + "]" * 100_000 + "}")
    assert "nested too deep" in run(copy, EVALUATION)[1]
    (copy / "manifest.json").unlink()
    os.mkfifo(copy / "manifest.json")
    assert "is a named pipe" in run(copy, EVALUATION)[1]


@pytest.mark.parametrize(
    ("name", "link"),
    [
        ("stages/notes.txt", False),
        ("figures/mine.svg", False),
        ("report.html", False),
        ("profile.json", True),
    ],
)
def test_exporting_never_deletes_a_file_that_the_planner_did_not_write(
    name, link, delivered, tmp_path, capsys
):
    copy = tmp_path / "copy"
    shutil.copytree(delivered, copy)
    (copy / name).unlink(missing_ok=True)
    (tmp_path / "thesis").write_text("mine")
    (copy / name).symlink_to(tmp_path / "thesis") if link else (copy / name).write_text("mine")
    with pytest.raises(SystemExit) as done:
        main(["export", str(delivered / "plan.json"), "--out", str(copy)])
    assert done.value.code == 1
    assert f"{name!r} was not written here by this planner" in capsys.readouterr().err
    assert (copy / name).read_text() == "mine"
    (copy / name).unlink()
    with pytest.raises(SystemExit) as done:
        main(["export", str(delivered / "plan.json"), "--out", str(copy)])
    assert done.value.code == 0


@pytest.mark.parametrize(
    "change",
    [
        lambda m, f: m.update(source="server"),
        lambda m, f: m["cuts"].clear(),
        lambda m, f: m["stages"][0].update(device="moon"),
        lambda m, f: m["stages"][0].update(units=10**30),
        lambda m, f: m["stages"][0]["precisions"].update(fp8=1),
    ],
)
def test_verify_refuses_a_manifest_that_contradicts_the_plan(change, delivered, tmp_path, capsys):
    with pytest.raises(SystemExit) as done:
        main(["verify", str(edited(delivered, tmp_path, change))])
    err = capsys.readouterr().err
    assert done.value.code == 1
    assert "manifest.json: " in err
    assert "contradicts plan.json" in err or "is not a manifest" in err
