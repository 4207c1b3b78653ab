import json
import os
import subprocess
import sys

import pytest
from npz_archives import arrays_of

pytest.importorskip("ai_edge_litert", reason="the extra litert is not installed")
import numpy as np
import tflite_models
from repository import ROOT
from running_hosts import RunningHosts
from tensorflow_extra import needs_tensorflow

from planner.cli.commands import main
from profiling.litert.interpreter import run_model
from profiling.litert.load import load_litert


def run(*arguments: str) -> int:
    """Return the exit code of a command."""
    with pytest.raises(SystemExit) as left:
        main(list(arguments))
    return left.value.code


SCENARIO = str(ROOT / "scenarios" / "litert.yaml")
FEW = [
    *("--set", "data.calibration.samples=40"),
    *("--set", "data.evaluation.samples=60"),
    *("--set", "profiling.rounds=5"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("litert") / "plan"
    assert run(SCENARIO, "--out", str(out), "--json", *FEW, "--set", "budget.accuracy_drop=0.1") in (0, 4)
    return out


def test_a_plan_has_tflite_stages_that_are_the_whole_model_bit_for_bit(folder):
    plan = json.loads((folder / "plan.json").read_text())
    manifest = json.loads((folder / "manifest.json").read_text())
    assert plan["status"] in {"optimal", "feasible"}
    assert set(plan["quantization"].values()) == {"int8-litert"}
    assert plan["measured"]["chain"]["default_bit_equal"]
    assert manifest["model"] == "model.tflite"
    assert len(manifest["stages"]) > 1
    assert all(stage["file"].endswith(".tflite") for stage in manifest["stages"])
    assert (
        sum(a["precision"] == "int8" for a in plan["assignments"])
        == plan["measured"]["chain"]["integer_kernels"]
    )
    crossing = {cut["tensor"]: cut["wire"] for cut in plan["cuts"]}
    assert set(crossing.values()) <= {"int8", "float"}


def test_the_stages_of_a_folder_answer_as_its_whole_model(folder, tmp_path):
    answers = tmp_path / "answers.npz"
    pictures = np.random.default_rng(0).integers(0, 256, (5, 64, 64, 1)).astype(np.float32) / 255
    np.savez(tmp_path / "in.npz", picture=pictures[:, None])
    assert run("run", str(folder), "--input", str(tmp_path / "in.npz"), "--output", str(answers)) == 0
    whole = load_litert(folder / "model.tflite")
    expected = [run_model(whole, {"picture": picture[None]})["logits"] for picture in pictures]
    assert arrays_of(answers)["logits"].tobytes() == np.stack(expected).tobytes()


def test_a_saved_plan_is_exported_again_byte_for_byte_and_verified(folder, tmp_path, capsys):
    again = tmp_path / "again"
    assert run("export", str(folder / "plan.json"), "--out", str(again)) == 0
    for file in sorted(path.relative_to(folder) for path in folder.rglob("*.tflite")):
        assert (again / file).read_bytes() == (folder / file).read_bytes()
    capsys.readouterr()
    assert run("verify", str(again), "--json") in (0, 4)
    verified = json.loads(capsys.readouterr().out)
    saved = json.loads((folder / "plan.json").read_text())
    assert verified["measured"]["noise_relative_rms"] == saved["measured"]["noise_relative_rms"]


def test_a_changed_stage_is_refused(folder, tmp_path, capsys):
    again = tmp_path / "again"
    assert run("export", str(folder / "plan.json"), "--out", str(again)) == 0
    stage = next((again / "stages").iterdir())
    stage.write_bytes(stage.read_bytes()[:-1] + b"\0")
    assert run("verify", str(again)) == 1
    assert "has changed since it was exported" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("devices.0.runtime=onnxruntime", "takes, runs litert: take those of a device that runs onnxruntime"),
        ("wires=[float16]", "wires is of ONNX Runtime"),
        ("weights=compressed", "compressed is of ONNX Runtime"),
        ("devices.2.provider=CUDAExecutionProvider", "devices.2.provider is of ONNX Runtime"),
        ("quantization.symmetric=true", "quantization.symmetric is of ONNX Runtime"),
        ("quantization.ranges=mse", "quantization.ranges is of ONNX Runtime"),
        ("precisions=[int8,int16]", "int8 and int16 together are not known of runtime: litert"),
        ("model=quickstart/digits.onnx", "runtime litert takes models of Keras, TensorFlow and TFLite"),
        ("model=nowhere.tflite", "nowhere.tflite"),
    ],
)
def test_what_does_not_go_with_litert_is_one_line(change, message, tmp_path, capsys):
    out = tmp_path / "plan"
    assert run(SCENARIO, "--out", str(out), "--set", change) == 1
    error = capsys.readouterr().err
    assert message in " ".join(error.split())
    assert not out.exists()


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (tflite_models.variables, "has variables (ASSIGN_VARIABLE, READ_VARIABLE, VAR_HANDLE)"),
        (tflite_models.of_tensorflow, "needs operators that are TensorFlow's own (FlexDet)"),
    ],
)
def test_a_file_that_cannot_be_planned_is_one_line(build, message, tmp_path, capsys):
    (tmp_path / "net.tflite").write_bytes(build().content())
    out = tmp_path / "plan"
    assert run(SCENARIO, "--out", str(out), "--set", f"model={tmp_path / 'net.tflite'}") == 1
    error = capsys.readouterr().err.strip()
    assert message in error
    assert "\n" not in error


def test_a_unit_over_which_litert_ends_the_process_stays_in_float(tmp_path):
    model = tmp_path / "net.tflite"
    model.write_bytes(tflite_models.cancelling().content())
    done = subprocess.run(
        [sys.executable, "-m", "planner", "inspect", "--runtime", "litert", str(model), "--json"],
        capture_output=True,
        text=True,
        env={**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache"), "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    modes = {unit["name"]: unit["modes"] for unit in json.loads(done.stdout)["units"]}
    assert modes["nothing"]["int8"] == "in int8, it ended LiteRT (it crashed)"
    assert modes["y"]["int8-dynamic"] == modes["z"]["int8"] == ""


def test_a_precision_of_litert_is_refused_where_onnx_runtime_runs(tmp_path, capsys):
    quickstart = str(ROOT / "scenarios" / "quickstart.yaml")
    assert run(quickstart, "--set", "precisions=[fp32,int4-dynamic]", "--out", str(tmp_path / "p")) == 1
    assert "int4-dynamic is of runtime: litert" in capsys.readouterr().err


def test_a_scenario_of_tflite_is_inspected_as_litert_runs_it(capsys):
    assert run("inspect", SCENARIO, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["runtime"] == "litert"
    assert len(found["units"]) == 18


@needs_tensorflow
def test_a_keras_model_is_converted_and_planned(tmp_path):
    out = tmp_path / "plan"
    settings = ("--set", "model=litert/digits.keras", "--set", "profiling.rounds=3")
    assert run(SCENARIO, "--out", str(out), *FEW, *settings, "--set", "budget.accuracy_drop=0.1") in (0, 4)
    plan = json.loads((out / "plan.json").read_text())
    assert plan["converted_from"]["converted_to"] == "tflite"
    assert plan["converted_from"]["relative_rms_difference"] < 1e-5
    assert plan["measured"]["chain"]["default_bit_equal"]


@needs_tensorflow
def test_integers_at_the_ends_cannot_be_planned_from_floats(tmp_path, capsys):
    settings = ("--set", "model=litert/digits.keras", "--set", "conversion.quantization=integer_only")
    assert run(SCENARIO, "--out", str(tmp_path / "plan"), *FEW, *settings) == 1
    assert "integer_only makes integers of input 'picture'" in capsys.readouterr().err


@needs_tensorflow
def test_a_model_that_the_conversion_quantized_is_placed(tmp_path):
    out = tmp_path / "plan"
    settings = ("--set", "model=litert/digits.keras", "--set", "conversion.quantization=full_integer")
    assert run(SCENARIO, "--out", str(out), *FEW, *settings, "--set", "profiling.rounds=3") in (0, 4)
    plan = json.loads((out / "plan.json").read_text())
    assert plan["converted_from"]["quantization"] == "full_integer"
    assert plan["measured"]["chain"]["default_bit_equal"]


def test_hosts_answer_as_the_folder_does(folder, tmp_path):
    pytest.importorskip("zenoh", reason="the extra hosts is not installed")
    pictures = np.random.default_rng(1).uniform(size=(6, 1, 64, 64, 1)).astype(np.float32)
    np.savez(tmp_path / "in.npz", picture=pictures)
    given = ("--input", str(tmp_path / "in.npz"))
    assert run("run", str(folder), *given, "--output", str(tmp_path / "here.npz")) == 0
    stages = json.loads((folder / "manifest.json").read_text())["stages"]
    used = {stage["device"] for stage in stages} | {"camera", "gateway"}  # source and sink
    devices = tuple(name for name in ("camera", "gateway", "server") if name in used)
    with RunningHosts(folder, tmp_path / "deploy", devices) as running:
        running.start()
        asked = ("request", str(tmp_path / "deploy"), *given, "--output", str(tmp_path / "there.npz"))
        assert run(*asked) == 0
    here, there = arrays_of(tmp_path / "here.npz"), arrays_of(tmp_path / "there.npz")
    assert there["logits"].tobytes() == here["logits"].tobytes()
    manifest = json.loads((tmp_path / "deploy" / "camera" / "host.json").read_text())
    assert manifest["runtime"]["name"] == "ai-edge-litert"
    requirements = (tmp_path / "deploy" / "camera" / "requirements.txt").read_text()
    assert "ai-edge-litert" in requirements
    assert "--hash" in requirements
    assert "onnxruntime" not in requirements
