"""Several models planned together, from the scenario to the folders that devices take."""

import json
from pathlib import Path

import numpy as np
import pytest
from npz_archives import arrays_of
from two_models import TWO_MODELS, write_two_models

from planner.cli.commands import main


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
    """Call `plan` in a folder with two models: (exit code, stdout, stderr)."""
    write_two_models(tmp_path)
    monkeypatch.chdir(tmp_path)

    def called(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as done:
            main(list(arguments))
        out, err = capsys.readouterr()
        return done.value.code, out, err

    return called


def test_two_models_are_planned_verified_exported_and_run(call):
    code, out, err = call("s.yaml", "--json", "--quiet")
    assert code == 0, err
    found = json.loads(out)
    shared, plans = found["shared"], found["models"]
    assert list(plans) == ["shapes", "joins"]
    _check_shared(shared, plans)
    for name, plan in plans.items():
        assert plan["part_of"]["model"] == name
        assert plan["measured"]["chain"]["basic_bit_equal"]
        assert plan["objective"] == shared["objective"]
    assert plans["shapes"]["measured"]["noise_relative_rms"] <= 0.5
    assert plans["joins"]["predicted"]["latency_s"] <= 1.0
    _check_folder(Path("plans/s"))
    code, out, err = call("verify", "plans/s", "--json", "--quiet")
    assert code == 0, err
    assert json.loads(out)["models"]["joins"]["measured"]["chain"]["basic_bit_equal"]
    code, out, err = call("verify", "plans/s/joins", "--quiet")
    assert code == 0, err
    assert "bit-equal" in out
    assert call("export", "plans/s/models.json", "--out", "again", "--quiet")[0] == 0
    for stage in Path("plans/s").glob("*/stages/*.onnx"):
        assert (Path("again") / stage.relative_to("plans/s")).read_bytes() == stage.read_bytes()
    code, _, err = call("run", "plans/s", "--input", "c.npz", "--output", "y.npz")
    assert code == 1
    assert "give one's folder, such as plans/s/shapes" in err
    np.savez("x.npz", x=np.zeros((4, 6, 6), np.float32)[None])
    assert call("run", "plans/s/joins", "--input", "x.npz", "--output", "y.npz")[0] == 0
    assert arrays_of("y.npz")["y"].size == 8
    # A folder of several models is replaced by one of several, and by nothing else.
    assert call("s.yaml", "--quiet")[0] == 0
    code, _, err = call("s.yaml", "--out", "plans/s/joins", "--quiet")
    assert code == 1
    assert "no plan of several models" in err


def _check_shared(shared: dict, plans: dict) -> None:
    """Compare what models share with what each of them costs alone."""
    assert shared["requests_per_s"] == 4
    assert [entry["share"] for entry in shared["models"]] == [0.75, 0.25]
    of_models = [plan["predicted"] for plan in plans.values()]
    mean = 0.75 * of_models[0]["latency_s"] + 0.25 * of_models[1]["latency_s"]
    assert shared["latency_s"] == pytest.approx(mean)
    assert shared["objective"]["value"] == pytest.approx(mean)
    for device, size in shared["memory_bytes"].items():
        assert size == sum(predicted["memory_bytes"][device] for predicted in of_models)
    for device in ("camera", "server"):
        busy = [predicted["compute_s"].get(device, 0.0) for predicted in of_models]
        load = 3 * busy[0] + 1 * busy[1]
        assert shared["utilisation"].get(device, 0.0) == pytest.approx(load)


def _check_folder(folder: Path) -> None:
    assert sorted(entry.name for entry in folder.iterdir()) == [
        "joins",
        "models.json",
        "report.html",
        "shapes",
    ]
    page = (folder / "report.html").read_text()
    for name in ("shapes", "joins"):
        assert f'href="{name}/report.html"' in page
        assert "was planned together with" in (folder / name / "report.html").read_text()


def test_more_requests_than_the_devices_can_take_are_refused(call):
    code, _, err = call("s.yaml", "--quiet", "--set", "models.0.requests_per_s=1e8")
    assert code == 3
    assert "requests per s at most 100% of the time" in err
    assert not Path("plans").exists()


def test_a_budget_of_one_model_is_told_with_its_name(call):
    code, _, err = call("s.yaml", "--quiet", "--set", "models.1.budget.latency_ms=1e-9")
    assert code == 3
    assert "joins: budget.latency_ms: 1e-09 ms cannot be kept" in err


def test_each_model_is_profiled_and_inspected_by_itself(call):
    code, _, err = call("profile", "s.yaml", "--quiet")
    assert code == 2
    assert "--model which model? models are shapes, joins" in err
    assert call("profile", "s.yaml", "--model", "joins", "--device", "camera", "--quiet")[0] == 0
    assert Path("joins.camera.profile.json").is_file()
    code, out, _ = call("inspect", "s.yaml", "--json")
    assert code == 0
    assert list(json.loads(out)["models"]) == ["shapes", "joins"]
    text = TWO_MODELS.replace("    source: server\n", "    source: server\n    profiles: {camera: FILE}\n")
    Path("p.yaml").write_text(text.replace("FILE", "joins.camera.profile.json"))
    code, _, err = call("p.yaml", "--quiet")
    assert code == 0, err
    Path("p.yaml").write_text(text.replace("FILE", "nowhere.json"))
    assert "p.yaml:" in (err := call("p.yaml", "--quiet")[2])
    assert "nowhere.json (profile of camera) does not exist" in err


def test_plans_are_compared_over_request_rates(call):
    code, out, err = call("compare", "s.yaml", "--requests-per-s", "1..1e8", "--quiet")
    assert code == 0, err
    for word in ("shapes: ", "joins: ", "requests per s", "each model planned for itself"):
        assert word in out
    found = json.loads(Path("comparisons/s/rates.json").read_text())
    assert found["ranges"][0]["plan"] == 0
    assert found["ranges"][-1]["plan"] is None
    code, _, err = call("compare", "s.yaml", "--bandwidth", "1,2", "--quiet")
    assert code == 2
    assert "over --requests-per-s" in err
    code, _, err = call("compare", "s.yaml", "--requests-per-s", "0", "--quiet")
    assert code == 1
    assert "--requests-per-s" in err
