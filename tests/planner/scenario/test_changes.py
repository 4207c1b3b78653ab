from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML
from scenario_texts import TWO_DEVICES
from small_scenarios import write_small_scenario
from two_models import write_two_models

from planner.errors import ScenarioError
from planner.scenario.changes import apply_changes, changes_of, parse_setting, plain_value
from planner.scenario.loader import load_ready_models, ready_models


def content() -> dict:
    return YAML(typ="safe").load(TWO_DEVICES)


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    write_small_scenario(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_mapping_is_read_as_its_file_is_with_paths_from_the_working_directory(here):
    (here / "s.yaml").write_text(TWO_DEVICES)
    assert ready_models(content()) == load_ready_models(here / "s.yaml")


def test_several_models_are_read_from_a_mapping(tmp_path, monkeypatch):
    write_two_models(tmp_path)
    monkeypatch.chdir(tmp_path)
    values = YAML(typ="safe").load((tmp_path / "s.yaml").read_text())
    assert ready_models(values) == load_ready_models(tmp_path / "s.yaml")


def test_changes_are_what_settings_are(here):
    settings = ["links.0.bandwidth_mbit_per_s=2.5", "budget.latency_ms=50", "placement.pin.a__b=camera"]
    values = {
        "links__0__bandwidth_mbit_per_s": np.float64(2.5),
        "budget": {"latency_ms": 50},
        "placement.pin.a__b": "camera",
    }
    assert ready_models(here / "s.yaml", changes_of(values)) == load_ready_models(here / "s.yaml", settings)


def test_a_changed_mapping_stays_as_it_was(here):
    values, before = content(), content()
    ready_models(
        values, changes_of({"links__0__latency_ms": 1, "devices": [{"name": "camera"}], "links": []})
    )
    assert values == before


def test_faults_of_a_mapping_are_told_by_key(here):
    values = content() | {"sorce": 1}
    values["links"][0]["latency_ms"] = -1
    with pytest.raises(ScenarioError) as caught:
        ready_models(values)
    assert set(str(caught.value).splitlines()) == {
        "scenario: links.0.latency_ms must be >= 0, got -1",
        "scenario: sorce is not a known key; did you mean source?",
    }


def test_a_fault_of_a_change_is_told_where_its_key_is_in_the_file(here):
    with pytest.raises(ScenarioError, match=r"s\.yaml:9:57: links.0.latency_ms must be >= 0, got -1"):
        ready_models(here / "s.yaml", changes_of({"links__0__latency_ms": -1}))


@pytest.mark.parametrize(
    ("key", "text"),
    [
        (
            "links__7__latency_ms",
            "links__7__latency_ms: there is no '7'; it has 2 entries, counted from 0 or named",
        ),
        ("source__x", "source__x: source holds no keys"),
        (".".join("a" * 40), "a key has at most 32 parts"),
    ],
)
def test_a_change_without_a_place_is_refused(here, key, text):
    with pytest.raises(ScenarioError) as caught:
        ready_models(here / "s.yaml", changes_of({key: 1}))
    assert text in str(caught.value)


def test_values_of_python_become_those_of_json():
    given = {
        "a": np.int64(3),
        "b": (np.float32(0.5), np.bool_(True)),
        "c": Path("x/y"),
        "d": {1},
        4: np.arange(2),
        "e": None,
    }
    assert plain_value(given, "x") == {"a": 3, "b": [0.5, True], "c": "x/y", "d": [1], "4": [0, 1], "e": None}


@dataclass
class Model:
    name: str = "m"


ENDLESS: list = []
ENDLESS.append(ENDLESS)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Model(), "model: a Model is no value here; give text, a number, a list or a mapping"),
        ([{"b": Fraction(1, 2)}], "model.0.b: a Fraction is no value here"),
        (b"m.onnx", "model: a bytes is no value here"),
        (1 << 5000, "a number has too many digits"),
        (ENDLESS, "is nested more than 64 levels deep"),
    ],
)
def test_a_value_that_no_scenario_holds_is_refused(value, text):
    with pytest.raises(ScenarioError) as caught:
        changes_of({"model": value})
    assert text in str(caught.value)


def test_no_number_is_told_as_in_a_file(here):
    with pytest.raises(ScenarioError, match="budget.latency_ms must be"):
        ready_models(here / "s.yaml", changes_of({"budget": {"latency_ms": float("nan")}}))


def test_entries_of_lists_are_named_as_options_name_them(here):
    (here / "s.yaml").write_text(TWO_DEVICES)
    by_place = load_ready_models(here / "s.yaml", ["links.0.latency_ms=9", "devices.1.speedup=3"])
    link, device = content()["links"][0], content()["devices"][1]["name"]
    names = [f"links.{link['from']}-{link['to']}.latency_ms=9", f"devices.{device}.speedup=3"]
    assert load_ready_models(here / "s.yaml", names) == by_place


def test_a_name_that_two_entries_have_names_none():
    link = {"from": "a", "to": "b"}
    with pytest.raises(
        ScenarioError, match="there is no 'a-b'; it has 2 entries, counted from 0 or named a-b"
    ):
        apply_changes({"links": [link, dict(link)]}, [parse_setting("links.a-b.latency_ms=1")])
