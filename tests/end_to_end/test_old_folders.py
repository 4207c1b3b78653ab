"""What was written before the code was moved into packages and its classes renamed is still read.

The archive was written by commit f63b037: a scenario of two devices, its plan folder without pictures, a
profile, the bundle of a device, and answers of `plan run`. `FOLDER` in plan.json stands for where it lies.
"""

import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from repository import ROOT

from planner.cli.commands import main
from planner.output.saved_plan import read_folder
from profiling.precision import Precision
from profiling.records.profile import load_profile

ARCHIVE = ROOT / "tests" / "end_to_end" / "golden" / "before_packages.zip"


@pytest.fixture
def old(tmp_path, monkeypatch) -> Path:
    with zipfile.ZipFile(ARCHIVE) as archive:
        archive.extractall(tmp_path)
    plan_file = tmp_path / "plan" / "plan.json"
    plan_file.write_text(plan_file.read_text().replace("FOLDER", str(tmp_path)))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def plan(*arguments: object) -> int:
    with pytest.raises(SystemExit) as done:
        main([str(argument) for argument in arguments])
    return done.value.code


def answers(path: Path) -> np.ndarray:
    with np.load(path) as found:
        return found["y"]


def test_a_plan_folder_is_read_as_it_was_written(old):
    saved, manifest = read_folder(old / "plan")
    assert [(stage.device, stage.units) for stage in manifest.stages] == [("camera", 4), ("server", 1)]
    assert [(cut.source, cut.target, cut.wire) for cut in saved.cuts] == [("camera", "server", "uint8")]
    assert [one.precision for one in saved.assignments].count(Precision.INT8) == 1
    assert saved.objective.value == pytest.approx(0.00502, abs=2e-5)  # the link's 5 ms and 4 bytes
    assert saved.measured.chain.basic_bit_equal


def test_a_plan_folder_runs_and_answers_as_its_model_does(old):
    assert plan("run", "plan", "--input", "e.npz", "--output", "new.npz") == 0
    got = answers(old / "new.npz")
    session = ort.InferenceSession(old / "plan" / "model.onnx")
    with np.load("e.npz") as samples:
        want = np.stack([session.run(None, {"x": x[None]})[0] for x in samples["x"]])
    np.testing.assert_allclose(got.reshape(want.shape), want, rtol=1e-5, atol=1e-5)
    # Kernels of other processors round in other places.
    np.testing.assert_allclose(got, answers(old / "answers.npz"), atol=0.05 * want.std())


def test_a_plan_folder_is_verified_and_exported_again(old):
    assert plan("verify", "plan") == 0
    assert plan("export", "plan/plan.json", "--out", "again") == 0
    for folder in ("plan", "again"):
        assert plan("run", folder, "--input", "e.npz", "--output", f"{folder}.npz") == 0
    got, want = answers(old / "again.npz"), answers(old / "plan.npz")
    np.testing.assert_allclose(got, want, atol=0.05 * want.std())


def test_a_scenario_is_planned_with_its_profile(old):
    profile = load_profile(old / "camera.profile.json")
    assert profile.device == "camera"
    assert plan("s.yaml", "--out", "new", "--set", "devices.0.profile=camera.profile.json") == 0
    assert read_folder(old / "new")[0].assignments[0].device == "camera"
    assert plan("profile", "--diff", "camera.profile.json", "camera.profile.json") == 0


def test_a_bundle_measures_with_its_own_script_and_its_profile_is_read(old):
    before = load_profile(old / "camera.profile.json")
    (old / "camera.profile.json").unlink()
    done = subprocess.run([sys.executable, "bundle/measure.py"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    measured = load_profile(old / "camera.profile.json")
    assert {(u.unit, u.precision) for u in measured.latency.units} == {
        (u.unit, u.precision) for u in before.latency.units
    }
    assert measured.latency.wall_s.keys() == before.latency.wall_s.keys()
    assert plan("s.yaml", "--out", "new", "--set", "devices.0.profile=camera.profile.json") == 0
