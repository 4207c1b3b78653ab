import json

import pytest
from npz_archives import arrays_of

pytest.importorskip("ai_edge_litert", reason="the extra litert is not installed")
pytest.importorskip("litert_quantizer", reason="the extra litert is not installed")
import numpy as np
from repository import ROOT
from tensorflow_extra import needs_tensorflow

from planner.cli.commands import main

pytestmark = needs_tensorflow


def run(*arguments: str) -> int:
    """Return the exit code of a command."""
    with pytest.raises(SystemExit) as left:
        main(list(arguments))
    return left.value.code


SCENARIO = str(ROOT / "scenarios" / "litert-onnx.yaml")
FEW = [
    *("--set", "data.calibration.samples=40"),
    *("--set", "data.evaluation.samples=40"),
    *("--set", "profiling.rounds=3"),
    *("--set", "budget.accuracy_drop=0.1"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return the folder of a plan that has stages of both runtimes, whatever this machine measures."""
    out = tmp_path_factory.mktemp("both") / "plan"
    pins = ("--set", 'placement.pin={"conv2d/*": "gateway", "*/MEAN": "server"}')
    assert run(SCENARIO, "--out", str(out), "--json", *FEW, *pins) in (0, 4)
    return out


def stages_of(folder):
    return json.loads((folder / "manifest.json").read_text())["stages"]


def test_a_plan_has_stages_of_both_runtimes_that_are_the_whole_bit_for_bit(folder):
    plan = json.loads((folder / "plan.json").read_text())
    chain = plan["measured"]["chain"]
    assert chain["basic_bit_equal"]
    assert chain["integer_kernels"] == chain["integer_kernels_whole"]
    runtimes = {stage["device"]: stage["file"].rsplit(".", 1)[1] for stage in stages_of(folder)}
    assert runtimes["server"] == "onnx"
    assert {runtimes[name] for name in runtimes if name != "server"} == {"tflite"}


def test_stages_hand_each_other_what_they_give(folder):
    given = {"picture"}
    for stage in stages_of(folder):
        assert {port["name"] for port in stage["inputs"]} <= given
        given |= {port["name"] for port in stage["outputs"]}
    assert "logits" in given


def test_the_folder_answers_verified_and_is_exported_again_byte_for_byte(folder, tmp_path, capsys):
    again = tmp_path / "again"
    assert run("export", str(folder / "plan.json"), "--out", str(again)) == 0
    for stage in stages_of(folder):
        assert (again / stage["file"]).read_bytes() == (folder / stage["file"]).read_bytes()
    capsys.readouterr()
    assert run("verify", str(again), "--json") in (0, 4)
    verified, saved = json.loads(capsys.readouterr().out), json.loads((folder / "plan.json").read_text())
    assert verified["measured"]["noise_relative_rms"] == saved["measured"]["noise_relative_rms"]
    pictures = np.random.default_rng(0).uniform(size=(3, 1, 64, 64, 1)).astype(np.float32)
    np.savez(tmp_path / "in.npz", picture=pictures)
    answers = {}
    for name, plan in (("here", folder), ("there", again)):
        out = tmp_path / f"{name}.npz"
        assert run("run", str(plan), "--input", str(tmp_path / "in.npz"), "--output", str(out)) == 0
        answers[name] = arrays_of(out)["logits"]
    assert answers["here"].shape == (3, 1, 10)
    assert answers["here"].tobytes() == answers["there"].tobytes()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["model=quickstart/digits.onnx"], "runtime litert takes models of Keras, TensorFlow and TFLite"),
        (["wires=[float16]"], "wires is not known where devices run different runtimes"),
        (["precisions=[fp32,int16]"], "int16 is not known where devices run different runtimes"),
        (["devices.3.scaled_from=board", "devices.3.profile=null", "devices.3.threads=null"], "runs litert"),
        (["conversion.quantization=dynamic"], "a plan quantizes, not the conversion"),
    ],
)
def test_what_two_runtimes_cannot_have_is_one_line(changes, message, tmp_path, capsys):
    out = tmp_path / "plan"
    settings = [part for change in changes for part in ("--set", change)]
    assert run(SCENARIO, "--out", str(out), *settings) == 1
    error = capsys.readouterr().err
    assert message in " ".join(error.split())
    assert "traceback" not in error
    assert not out.exists()


def test_a_scenario_is_inspected_as_its_blocks_are_planned(folder, capsys):
    capsys.readouterr()
    assert run("inspect", SCENARIO, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    plan = json.loads((folder / "plan.json").read_text())
    assert found["runtime"] == "litert and onnxruntime"
    assert [unit["name"] for unit in found["units"]] == [one["unit"] for one in plan["assignments"]]
    assert sum(unit["fp32_s"] for unit in found["units"]) > 0


def test_an_inspection_over_two_runtimes_says_which_took_the_seconds(capsys):
    assert run("inspect", SCENARIO) == 0
    heaviest = capsys.readouterr().out.partition("heaviest units")[2]
    assert "in place in LiteRT" in heaviest
    assert not any(line.split()[-5:-4] == ["-"] for line in heaviest.splitlines())
