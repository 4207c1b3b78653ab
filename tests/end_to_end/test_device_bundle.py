"""A bundle measures a model on a device that has only NumPy and ONNX Runtime."""

import ast
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from bare_device import packages, run
from repository import QUICKSTART

from planner.cli.commands import main
from profiling.latency.measure_latency import Setup, measurement_plan, variants_of
from profiling.latency.write_bundle import write_bundle
from profiling.on_device.device_main import ORDER, SCRIPT, read_measurement_plan
from profiling.onnx_io import external_weights as weights
from profiling.records.json_files import save_json
from profiling.records.profile import load_profile
from profiling.runtime.open_session import Runtime


def plan(*arguments: str) -> int:
    with pytest.raises(SystemExit) as done:
        main([str(argument) for argument in arguments])
    return done.value.code


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("bundle") / "server"
    settings = ("--set", "profiling.rounds=3")
    assert plan("profile", QUICKSTART, "--device", "server", "--bundle", folder, *settings) == 0
    return folder


@pytest.fixture(scope="module")
def device(tmp_path_factory) -> Path:
    """A folder of packages that has NumPy and ONNX Runtime, and nothing else."""
    return packages(tmp_path_factory.mktemp("packages"), np, onnxruntime)


def measure(folder: Path, device: Path, where: Path, *arguments: str) -> subprocess.CompletedProcess:
    return run(device, where, str(folder / SCRIPT), *arguments)


@pytest.fixture(scope="module")
def profile(bundle, device, tmp_path_factory) -> Path:
    where = tmp_path_factory.mktemp("where")
    done = measure(bundle, device, where)
    assert done.returncode == 0, done.stderr
    assert "timing: 8 of 8" in done.stderr
    assert "name it as `profile` of device server" in done.stdout
    assert [path.name for path in where.iterdir()] == ["server.profile.json"]
    return where / "server.profile.json"


@pytest.mark.parametrize("package", ["planner", "profiling", "onnx", "msgspec"])
def test_the_device_of_these_tests_has_nothing_that_helps(package, device, tmp_path):
    assert f"No module named '{package}'" in run(device, tmp_path, "-c", f"import {package}").stderr


def test_its_code_is_python_3_9(bundle):
    files = list(bundle.rglob("*.py"))
    assert len(files) > 5
    for path in files:
        ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 9))


def test_measuring_leaves_a_bundle_as_it_was_written(bundle, profile):
    files = {str(path.relative_to(bundle)) for path in bundle.rglob("*") if path.is_file()}
    assert files == {ORDER, *json.loads((bundle / ORDER).read_text())["files"]}


def test_a_bundle_measures_with_its_own_code_whatever_is_installed(bundle, device, tmp_path):
    other = tmp_path / "profiling"
    other.mkdir()
    (other / "__init__.py").write_text("raise SystemExit('the wrong one')")
    for part in device.iterdir():
        (tmp_path / part.name).symlink_to(part)
    assert run(tmp_path, tmp_path, "-c", "import profiling").stderr == "the wrong one\n"
    # -P as PYTHONSAFEPATH: the script's folder is not on the path of its own accord.
    done = run(tmp_path, tmp_path, "-P", str(bundle / SCRIPT))
    assert done.returncode == 0, done.stderr


def test_what_is_to_be_measured_is_read_as_it_was_written(residual, tmp_path):
    setup = Setup(Runtime(), 3)
    plan = measurement_plan(residual.graph, residual.calibration, setup, "board")
    save_json(plan, tmp_path / ORDER)
    assert read_measurement_plan(tmp_path) == plan


def test_its_models_are_for_old_runtimes_too(bundle):
    for path in (bundle / "models").iterdir():
        assert onnx.load(path).ir_version <= 8


def test_the_profile_covers_what_a_local_one_does(profile, tmp_path):
    there = load_profile(profile)
    settings = ("--set", "profiling.rounds=3", "--out", tmp_path / "here.json")
    assert plan("profile", QUICKSTART, "--device", "server", *settings) == 0
    here = load_profile(tmp_path / "here.json")
    assert there.device == here.device == "server"
    assert there.noise == ()
    assert there.latency.model_sha256 == here.latency.model_sha256
    assert there.latency.overflows == here.latency.overflows
    assert [(r.unit, r.precision) for r in there.latency.units] == [
        (r.unit, r.precision) for r in here.latency.units
    ]
    assert [(r.tensor, r.to, r.measured) for r in there.latency.switches] == [
        (r.tensor, r.to, r.measured) for r in here.latency.switches
    ]
    for precision, wall in there.latency.wall_s.items():
        units = sum(r.seconds for r in there.latency.units if r.precision == precision)
        assert 0 < units <= wall * 1.001  # how much less is this machine's


def test_a_plan_needs_the_profile_only(profile, tmp_path, capsys):
    settings = ("--set", f"devices.2.profile={profile}", "--set", "profiling.noise_samples=2")
    assert plan(QUICKSTART, "--out", tmp_path / "o", "--json", *settings) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["status"] in ("optimal", "feasible")
    used = json.loads((tmp_path / "o" / "profile.json").read_text())["server"]["latency"]
    assert used == json.loads(profile.read_text())["latency"]


def test_large_weights_are_in_the_bundle_once(residual, device, tmp_path, monkeypatch):
    from profiling.graph.unit_graph import build_graph
    from profiling.onnx_io.load_model import load_model
    from profiling.preparation.rewrite_steps import prepare_model

    monkeypatch.setattr(weights, "LARGE_BYTES", 64)
    graph = build_graph(prepare_model(load_model(residual.path, {})))
    setup = Setup(Runtime(), 3)
    plan = measurement_plan(graph, residual.calibration, setup, "board")
    variants = variants_of(graph, residual.calibration, setup)
    write_bundle(variants, residual.samples[0], plan, tmp_path)
    files = sorted((tmp_path / "models").glob("*.data"))
    assert len(files) == 8  # four weights, each in float and in int8
    done = measure(tmp_path, device, tmp_path, "p.json")
    assert done.returncode == 0, done.stderr
    assert load_profile(tmp_path / "p.json").device == "board"


SPOILT = {
    "no such provider": (lambda o: o.update(provider="NpuExecutionProvider"), "has no NpuExecutionProvider"),
    "a model is missing": (lambda o: o["variants"].append({}), "cannot measure the models"),
}


@pytest.mark.parametrize("name", SPOILT)
def test_what_goes_wrong_on_the_device_is_one_line(name, bundle, device, tmp_path):
    spoil, message = SPOILT[name]
    folder = tmp_path / "b"
    shutil.copytree(bundle, folder)
    content = json.loads((folder / ORDER).read_text())
    spoil(content)
    (folder / ORDER).write_text(json.dumps(content | {"rounds": 1}))
    done = measure(folder, device, tmp_path)
    assert done.returncode == 1
    assert message in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_a_folder_for_the_profile_must_exist(bundle, device, tmp_path):
    done = measure(bundle, device, tmp_path, "nowhere/p.json")
    assert (done.returncode, done.stderr) == (1, "nowhere/p.json: its folder does not exist\n")


def test_bundles_replace_bundles_and_nothing_else(bundle, tmp_path, capsys):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("x")
    fast = ("--set", "profiling.rounds=3")
    assert plan("profile", QUICKSTART, "--device", "server", "--bundle", mine, *fast) == 1
    assert "holds files that are no bundle (thesis.txt)" in capsys.readouterr().err
    assert (mine / "thesis.txt").read_text() == "x"
    before = (bundle / "order.json").read_text()
    assert plan("profile", QUICKSTART, "--device", "server", "--bundle", bundle, *fast) == 0
    assert (bundle / "order.json").read_text() == before
    assert plan("profile", QUICKSTART, "--bundle", tmp_path / "b", "--out", "p.json") == 2
    assert "leave out --out and --json" in capsys.readouterr().err
    assert plan("profile", QUICKSTART, "--device", "tablet", "--bundle", tmp_path / "b") == 1
    assert "--device tablet: no such device; devices are camera, gateway, server" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine"]


def test_a_sample_is_a_real_one(bundle):
    with np.load(bundle / "feeds.npz") as feeds:
        assert all(np.isfinite(feeds[name]).all() and feeds[name].any() for name in feeds.files)
