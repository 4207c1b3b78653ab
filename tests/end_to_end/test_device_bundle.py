"""A bundle measures a model on a device that has only NumPy and ONNX Runtime."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from repository import QUICKSTART

from planner.cli.commands import main
from profiling.latency.device_bundle import SCRIPT, write_bundle
from profiling.latency.measure_latency import Setup, measurement_plan, variants_of
from profiling.on_device import measure as onboard
from profiling.onnx_io import external_weights as weights
from profiling.records.profile import load_profile
from profiling.runtime.session import Runtime


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


def measure(folder: Path, where: Path, *arguments: str) -> subprocess.CompletedProcess:
    # Isolated: this repository is not on the way, whatever the environment says.
    command = [sys.executable, "-I", str(folder / SCRIPT), *arguments]
    return subprocess.run(command, cwd=where, capture_output=True, text=True)


@pytest.fixture(scope="module")
def profile(bundle, tmp_path_factory) -> Path:
    where = tmp_path_factory.mktemp("device")
    done = measure(bundle, where)
    assert done.returncode == 0, done.stderr
    assert "timing: 8 of 8" in done.stderr
    assert "name it as `profile` of device server" in done.stdout
    assert [path.name for path in where.iterdir()] == ["server.profile.json"]
    return where / "server.profile.json"


def test_the_script_is_python_3_9(bundle):
    ast.parse((bundle / SCRIPT).read_text(), feature_version=(3, 9))


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
        assert 0.3 * wall < units <= wall * 1.001


def test_a_plan_needs_the_profile_only(profile, tmp_path, capsys):
    settings = ("--set", f"devices.2.profile={profile}", "--set", "profiling.noise_samples=2")
    assert plan(QUICKSTART, "--out", tmp_path / "o", "--json", *settings) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["status"] in ("optimal", "feasible")
    used = json.loads((tmp_path / "o" / "profile.json").read_text())["server"]["latency"]
    assert used == json.loads(profile.read_text())["latency"]


def test_large_weights_are_in_the_bundle_once(residual, tmp_path, monkeypatch):
    from profiling.graph.unit_graph import build_graph
    from profiling.onnx_io.load import load_model
    from profiling.preparation.prepare import prepare_model

    monkeypatch.setattr(weights, "LARGE_BYTES", 64)
    graph = build_graph(prepare_model(load_model(residual.path, {})))
    setup = Setup(Runtime(), 3)
    order = measurement_plan(graph, residual.calibration, setup, "board")
    variants = variants_of(graph, residual.calibration, setup.precisions)
    write_bundle(variants, residual.samples[0], order, tmp_path)
    files = sorted((tmp_path / "models").glob("*.data"))
    assert len(files) == 8  # four weights, each in float and in int8
    done = measure(tmp_path, tmp_path, "p.json")
    assert done.returncode == 0, done.stderr
    assert load_profile(tmp_path / "p.json").device == "board"


SPOILT = {
    "no such provider": (lambda o: o.update(provider="NpuExecutionProvider"), "has no NpuExecutionProvider"),
    "a model is missing": (lambda o: o["variants"].append({}), "cannot measure the models"),
}


@pytest.mark.parametrize("name", SPOILT)
def test_what_goes_wrong_on_the_device_is_one_line(name, bundle, tmp_path):
    import shutil

    spoil, message = SPOILT[name]
    folder = tmp_path / "b"
    shutil.copytree(bundle, folder)
    order = json.loads((folder / "order.json").read_text())
    spoil(order)
    (folder / "order.json").write_text(json.dumps(order | {"rounds": 1}))
    done = measure(folder, tmp_path)
    assert done.returncode == 1
    assert message in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_a_folder_for_the_profile_must_exist(bundle, tmp_path):
    done = measure(bundle, tmp_path, "nowhere/p.json")
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


def test_nodes_are_read_as_onnx_reads_them(residual, tmp_path):
    model = residual.graph.model
    onnx.save(model, tmp_path / "m.onnx")
    expected = [(node.name, list(node.input), list(node.output)) for node in model.graph.node]
    assert onboard.read_nodes(tmp_path / "m.onnx") == expected


def test_a_sample_is_a_real_one(bundle):
    with np.load(bundle / "feeds.npz") as feeds:
        assert all(np.isfinite(feeds[name]).all() and feeds[name].any() for name in feeds.files)
