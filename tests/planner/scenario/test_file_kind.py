import json
from pathlib import Path

import pytest

from planner.cli.commands import main

MODELS = ("net.onnx", "net.keras", "old.h5", "net.tflite", "exported", "keras:ResNet50", "nets:build")
KINDS = {
    name: f"is a model, not a scenario: give a scenario (`plan init {name}` writes one), "
    f"or `plan inspect {name}`"
    for name in MODELS
} | {
    "samples.npz": "is an archive of arrays, not a scenario: give a scenario, whose data.calibration.npz",
    "cat.JPG": "is a picture, not a scenario: give a scenario, whose data.calibration.images",
    "problem.json": "is a table of costs, not a scenario: give a scenario, or `plan solve problem.json`",
    "plan.json": "is a plan, not a scenario: give a scenario, or `plan export plan.json --out DIR`",
    "camera.json": "is a profile, not a scenario: give a scenario, in which devices.N.profile names it",
    "done": "is a plan's folder, not a scenario: give a scenario, or `plan verify done`",
    "work": "is a folder, not a scenario: give a scenario file, such as work/mine.yaml",
    "empty": "is a folder, not a scenario: give a scenario file, such as empty/scenario.yaml",
}


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    for name in ("net.onnx", "net.keras", "old.h5", "net.tflite", "samples.npz", "cat.JPG"):
        (tmp_path / name).write_bytes(b"\xff\x00")
    for name in ("exported/saved_model.pb", "done/plan.json", "work/mine.yaml", "empty/notes.txt"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    keys = {"problem": "units devices", "plan": "assignments model_sha256", "camera": "latency noise"}
    for name, words in keys.items():
        (tmp_path / f"{name}.json").write_text(json.dumps({key: [] for key in words.split()}))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("command", ["", "profile", "compare"])
@pytest.mark.parametrize("name", KINDS)
def test_what_is_no_scenario_is_called_what_it_is(command, name, capsys):
    with pytest.raises(SystemExit) as done:
        main([*command.split(), name])
    assert done.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{name} {KINDS[name]}")


def test_a_scenario_may_be_json(here, capsys):
    (here / "s.json").write_text(json.dumps({"model": "net.onnx", "units": 3}))
    with pytest.raises(SystemExit):
        main(["s.json"])
    assert "s.json:1:1: data is required" in capsys.readouterr().err


def test_a_scenario_is_no_table_of_costs(here, capsys):
    with pytest.raises(SystemExit) as done:
        main(["solve", "work/mine.yaml"])
    assert done.value.code == 1
    assert capsys.readouterr().err == (
        "work/mine.yaml is a scenario, not a table of costs: give PROBLEM.json, or `plan work/mine.yaml`\n"
    )
