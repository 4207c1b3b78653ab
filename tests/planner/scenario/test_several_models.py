import json

import pytest
from two_models import TWO_MODELS, write_two_models

from planner.errors import ScenarioError, UsageError
from planner.scenario.loader import dump_scenario, load_ready_models, load_scenario, parse_scenario
from planner.scenario.several_models import SeveralModels


@pytest.fixture
def told(tmp_path):
    """Return the lines that tell of the faults of a changed scenario."""
    write_two_models(tmp_path)

    def call(before: str, after: str) -> str:
        assert before in TWO_MODELS
        path = tmp_path / "s.yaml"
        path.write_text(TWO_MODELS.replace(before, after, 1))
        with pytest.raises(ScenarioError) as refused:
            load_ready_models(path)
        return str(refused.value)

    return call


def test_each_model_has_a_scenario_of_its_own(tmp_path):
    write_two_models(tmp_path)
    several = load_ready_models(tmp_path / "s.yaml")
    assert isinstance(several, SeveralModels)
    assert several.names == ("shapes", "joins")
    assert several.requests_per_s == 4
    assert [one.share for one in several.models] == [0.75, 0.25]
    shapes, joins = (one.scenario for one in several.models)
    assert (shapes.source, joins.source) == ("camera", "server")
    assert shapes.budget.noise_relative_rms == 0.5
    assert joins.budget.latency_ms == 1000
    assert not shapes.budget.memory_mib
    assert several.shared.budget.memory_mib == {"camera": 1}
    assert shapes.model == str(tmp_path / "m.onnx")
    for one in several.models:  # as a plan of the model carries it
        assert parse_scenario(dump_scenario(one.scenario).encode()) == one.scenario
    with pytest.raises(UsageError, match="models are shapes, joins"):
        several.scenario_of("other")


def test_weights_are_shares_too(tmp_path):
    write_two_models(tmp_path)
    text = TWO_MODELS.replace("requests_per_s: 3", "weight: 4").replace("    requests_per_s: 1\n", "")
    (tmp_path / "s.yaml").write_text(text)
    several = load_ready_models(tmp_path / "s.yaml")
    assert several.requests_per_s is None
    assert [one.share for one in several.models] == [0.8, 0.2]


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("devices:", "model: m.onnx\ndevices:", "s.yaml:1:1: model is of one model"),
        ("devices:", "source: camera\ndevices:", "source is of one model"),
        ("name: joins", "name: shapes", "models.1.name 'shapes' is already taken"),
        ("name: joins", "name: models.json", "models.1.name 'models.json' is the name of a file"),
        ("requests_per_s: 3", "requests_per_s: 0", "models.0.requests_per_s must be >= 0.0001, got 0"),
        ("requests_per_s: 3", "requests_per_s: -1", "models.0.requests_per_s must be >= 0.0001, got -1"),
        ("requests_per_s: 3", "weight: 0", "models.0.weight must be >= 0.0001, got 0"),
        (
            "requests_per_s: 3",
            "weight: 2",
            "models.0.requests_per_s is required",
        ),
        ("requests_per_s: 3", "requests_per_s: 3\n    weight: 2", "either requests_per_s or weight"),
        ("source: server", "source: sever", "models.1.source names no device: 'sever'"),
        ("model: j.onnx", "model: k.onnx", "models.1.model"),
        ("{latency_ms: 1000}", "{memory_mib: {camera: 1}}", "models.1.budget.memory_mib is not a known key"),
        ("{memory_mib: {camera: 1}}", "{latency_ms: 1}", "budget.latency_ms is not a known key"),
        ("{memory_mib: {camera: 1}}", "{memory_mib: {cam: 1}}", "budget.memory_mib.cam names no device"),
        ("{memory_mib: {camera: 1}}", "{total_energy_j: 1}", "devices.0.active_watt is required"),
        ("source: server", "source: server\n    profiles: {x: y}", "models.1.profiles.x names no device"),
        ("{noise_relative_rms: 0.5}", "{metric_drop: 1}", "models.0.budget.metric_drop needs `metric`"),
    ],
)
def test_mistakes_are_told_where_they_stand(told, before, after, words):
    assert words in told(before, after)


def test_a_utilisation_needs_rates(tmp_path):
    write_two_models(tmp_path)
    text = TWO_MODELS.replace("{memory_mib: {camera: 1}}", "{utilisation: 0.5}")
    (tmp_path / "s.yaml").write_text(text)
    assert load_ready_models(tmp_path / "s.yaml").utilisation == 0.5
    for rate in (3, 1):
        text = text.replace(f"    requests_per_s: {rate}\n", "")
    (tmp_path / "s.yaml").write_text(text)
    with pytest.raises(ScenarioError, match="utilisation needs requests_per_s of each model"):
        load_ready_models(tmp_path / "s.yaml")


def test_a_command_for_one_model_says_so(tmp_path):
    write_two_models(tmp_path)
    with pytest.raises(ScenarioError, match="holds several models"):
        load_scenario(tmp_path / "s.yaml")


def test_a_scenario_of_one_model_is_read_as_ever(tmp_path):
    write_two_models(tmp_path)
    content = json.loads(dump_scenario(load_ready_models(tmp_path / "s.yaml").models[0].scenario))
    (tmp_path / "one.yaml").write_text(json.dumps(content))
    assert load_ready_models(tmp_path / "one.yaml") == load_scenario(tmp_path / "one.yaml")
