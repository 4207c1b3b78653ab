import json
from pathlib import Path

import pytest

from planner.scenario.missing_files import missing_files
from planner.scenario.validation import check_scenario

KEYS = {
    "model": "m.onnx",
    "conversion.weights": "w.h5",
    "conversion.custom_objects": "layers:Scale",
    "data.calibration.npz": "c.npz",
    "data.calibration.labels.file": "labels.csv",
    "data.evaluation.reader": "own.readers:numbers",
    "metric": "judge:score",
    "devices.0.profile": "a.json",
}
CREATED = {"layers": "layers.py", "own": "own/__init__.py", "judge": "judge.py"}


def scenario_in(folder: Path, replaced: dict[str, str] | None = None):
    at = {key: f"{folder}/{name}" for key, name in KEYS.items()} | (replaced or {})
    content = {
        "model": at["model"],
        "conversion": {
            "weights": at["conversion.weights"],
            "custom_objects": at["conversion.custom_objects"],
        },
        "data": {
            "calibration": {
                "npz": at["data.calibration.npz"],
                "labels": {"file": at["data.calibration.labels.file"], "label_column": "b"},
            },
            "evaluation": {"reader": at["data.evaluation.reader"]},
        },
        "metric": at["metric"],
        "devices": [{"name": "a", "profile": at["devices.0.profile"]}],
        "source": "a",
        "sink": "a",
    }
    scenario, faults = check_scenario(json.dumps(content))
    assert not faults
    return scenario


def fill(folder: Path) -> None:
    for name in KEYS.values():
        file = folder / CREATED.get(name.partition(":")[0].partition(".")[0], name)
        file.parent.mkdir(exist_ok=True)
        file.touch()


def told(scenario) -> dict[str, str]:
    faults = list(missing_files(scenario))
    keys = [".".join(map(str, fault.key_path)) for fault in faults]
    assert len(set(keys)) == len(keys)
    return dict(zip(keys, (fault.text for fault in faults), strict=True))


def test_every_file_and_module_that_is_not_there_is_told_at_its_key(tmp_path):
    found = told(scenario_in(tmp_path))
    assert found.keys() == KEYS.keys()
    assert found["model"] == f"{tmp_path}/m.onnx does not exist"
    assert found["metric"] == f"judge:score cannot be used: there is no module judge in {tmp_path}"
    assert "plan profile SCENARIO --device a" in found["devices.0.profile"]


def test_a_table_of_seconds_is_not_made_by_measuring(tmp_path):
    scenario = scenario_in(tmp_path)
    tables = [
        d if d.profile is None else d.model_copy(update={"profile": "/no.csv"}) for d in scenario.devices
    ]
    found = told(scenario.model_copy(update={"devices": tuple(tables)}))
    assert found["devices.0.profile"] == "/no.csv does not exist"


def test_what_is_there_is_not_told(tmp_path):
    fill(tmp_path)
    assert told(scenario_in(tmp_path)) == {}


@pytest.mark.parametrize("key", KEYS)
def test_one_that_is_missing_is_told_alone(tmp_path, key):
    fill(tmp_path)
    name = KEYS[key]
    other = f"no_such_{name}"
    assert told(scenario_in(tmp_path, {key: f"{tmp_path}/{other}"})).keys() == {key}


def test_a_variable_that_is_not_set_is_no_missing_file(tmp_path):
    fill(tmp_path)
    unset = {key: "${NOWHERE}/" + name for key, name in KEYS.items()}
    assert told(scenario_in(tmp_path, unset)) == {}


def test_a_named_network_and_weights_and_a_profile_to_measure_are_no_files(tmp_path):
    fill(tmp_path)
    named = {"model": "keras:MobileNet", "conversion.weights": "imagenet", "devices.0.profile": "measure"}
    assert told(scenario_in(tmp_path, named)) == {}
