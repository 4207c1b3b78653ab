import json
import os
from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML

import splitquant as sq


def test_a_path_a_text_and_a_mapping_give_the_same_scenario(here):
    values = YAML(typ="safe").load((here / "scenario.yaml").read_text())
    loaded = sq.load_scenario(here / "scenario.yaml")
    for source in ("scenario.yaml", Path("scenario.yaml"), os.path.relpath("scenario.yaml"), values):
        assert sq.load_scenario(source).to_dict() == loaded.to_dict()
    assert (loaded.name, loaded.devices, loaded.models) == ("scenario", ("camera", "server"), ())
    assert loaded.links == ("camera-server", "server-camera")
    assert sq.load_scenario("scenario.yaml") == loaded


def test_a_scenario_survives_the_way_through_its_keys(here):
    loaded = sq.load_scenario("scenario.yaml", budget={"noise_relative_rms": 0.25})
    again = sq.load_scenario(json.loads(json.dumps(loaded.to_dict())))
    assert again.to_dict() == loaded.to_dict()


def test_changes_are_made_on_top_of_changes_and_leave_their_source(here):
    loaded = sq.load_scenario("scenario.yaml", links__0__bandwidth_mbit_per_s=np.float32(0.5))
    other = sq.load_scenario(loaded, **{"links.1.latency_ms": 3, "budget.latency_ms": np.int64(7)})
    first, second = loaded.to_dict(), other.to_dict()
    assert [link["bandwidth_mbit_per_s"] for link in second["links"]] == [0.5, 8]
    assert second["links"][1]["latency_ms"] == 3
    assert second["budget"] == {"latency_ms": 7}
    assert "budget" not in first
    assert "latency_ms" not in first["links"][1]


def test_an_unknown_key_is_told_with_the_one_that_was_meant(here):
    with pytest.raises(sq.ScenarioError, match="bugdet is not a known key; did you mean budget?"):
        sq.load_scenario("scenario.yaml", bugdet={"latency_ms": 5})
    with pytest.raises(sq.ScenarioError, match="links.0.bandwith_mbit_per_s is not a known key"):
        sq.load_scenario("scenario.yaml", links__0__bandwith_mbit_per_s=5)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("nowhere.yaml", "nowhere.yaml: No such file or directory"),
        ("m.onnx", "m.onnx is a model, not a scenario"),
        (".", "is a folder, not a scenario"),
        ({}, "scenario: model is required"),
        ({"models": 3}, "scenario: "),
        ({"model": lambda: None}, "scenario: model: a function is no value here"),
        ("model: m.onnx\n", "No such file"),
    ],
)
def test_what_is_no_scenario_is_refused(here, source, text):
    with pytest.raises(sq.ScenarioError) as caught:
        sq.load_scenario(source)
    assert text in str(caught.value)


def test_a_file_that_is_missing_is_told_before_anything_runs(here):
    with pytest.raises(sq.ScenarioError, match="model .*/nothing.onnx does not exist"):
        sq.load_scenario("scenario.yaml", model="nothing.onnx")


def test_several_models_are_loaded_and_named(here):
    loaded = sq.load_scenario("two/s.yaml")
    assert loaded.models == ("shapes", "joins")
    assert "shapes, joins" in repr(loaded)
    for call in (sq.plan, sq.compare, lambda scenario: scenario.to_dict()):
        with pytest.raises(sq.UsageError, match="s has several models, shapes, joins: "):
            call(loaded)
    with pytest.raises(sq.UsageError, match="which model"):
        sq.profile(loaded)
    with pytest.raises(sq.UsageError, match="scenario has one model: plan plans it"):
        sq.plan_models("scenario.yaml")
    with pytest.raises(sq.UsageError, match="scenario holds one model"):
        sq.profile("scenario.yaml", model="shapes")


def test_a_notebook_shows_names_as_text(here):
    (here / "odd&<b>.yaml").write_text((here / "scenario.yaml").read_text())
    shown = sq.load_scenario("odd&<b>.yaml", budget={"latency_ms": 9})._repr_html_()
    assert "Scenario odd&amp;&lt;b&gt;" in shown
    assert "latency_ms" in shown
    assert "shapes, joins" in sq.load_scenario("two/s.yaml")._repr_html_()


def test_a_home_folder_of_nobody_is_told_as_any_path_that_is_not_there():
    for call in (sq.load_scenario, sq.load_plan, sq.load_problem, sq.solve, lambda path: sq.run(path, path)):
        with pytest.raises(sq.SplitquantError, match="~nobody-here"):
            call("~nobody-here/x.yaml")
