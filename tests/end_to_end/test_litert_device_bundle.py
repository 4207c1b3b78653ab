"""A bundle measures a `.tflite` model on a device that has only NumPy and a LiteRT interpreter."""

import ast
import json
import shutil
import subprocess
from pathlib import Path

import pytest

pytest.importorskip("ai_edge_litert", reason="the extra litert is not installed")
pytest.importorskip("litert_quantizer", reason="the extra litert is not installed")
import ai_edge_litert
import numpy as np
from bare_device import packages, run
from repository import QUICKSTART, ROOT
from running_hosts import free_ports
from served_bundles import ServedBundle
from tensorflow_extra import needs_tensorflow

from planner.cli.commands import main
from profiling.on_device.device_main import ORDER, SCRIPT
from profiling.records.profile import load_profile

SCENARIO = ROOT / "scenarios" / "litert.yaml"
BOTH = ROOT / "scenarios" / "litert-onnx.yaml"
FEW = (
    *("--set", "data.calibration.samples=40"),
    *("--set", "data.evaluation.samples=60"),
    *("--set", "profiling.rounds=3"),
    *("--set", "budget.accuracy_drop=0.1"),
)


def plan(*arguments: str) -> int:
    with pytest.raises(SystemExit) as done:
        main([str(argument) for argument in arguments])
    return done.value.code


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("bundle") / "server"
    assert plan("profile", SCENARIO, "--device", "server", "--bundle", folder, *FEW) == 0
    return folder


@pytest.fixture(scope="module")
def device(tmp_path_factory) -> Path:
    folder = packages(tmp_path_factory.mktemp("packages"), np, ai_edge_litert)
    for info in Path(ai_edge_litert.__path__[0]).parent.glob("ai_edge_litert-*.dist-info"):
        (folder / info.name).symlink_to(info)
    return folder


def measure(folder: Path, device: Path, where: Path, *arguments: str) -> subprocess.CompletedProcess:
    return run(device, where, str(folder / SCRIPT), *arguments)


@pytest.fixture(scope="module")
def profile(bundle, device, tmp_path_factory) -> Path:
    where = tmp_path_factory.mktemp("where")
    done = measure(bundle, device, where)
    assert done.returncode == 0, done.stderr
    assert "timing: 8 of 8" in done.stderr
    assert "XNNPACK" not in done.stderr  # what the runtime announces of itself
    assert "name it as `profile` of device server" in done.stdout
    assert [path.name for path in where.iterdir()] == ["server.profile.json"]
    return where / "server.profile.json"


@pytest.mark.parametrize("package", ["planner", "profiling", "onnx", "onnxruntime", "flatbuffers", "msgspec"])
def test_the_device_of_these_tests_has_nothing_that_helps(package, device, tmp_path):
    assert f"No module named '{package}'" in run(device, tmp_path, "-c", f"import {package}").stderr


def test_measuring_imports_numpy_and_the_interpreter_and_nothing_else(bundle, device, tmp_path):
    code = (
        "import json, runpy, sys\n"
        f"sys.argv = ['measure.py', 'p.json', '--rounds=1']\n"
        f"runpy.run_path({str(bundle / SCRIPT)!r}, run_name='__main__')\n"
        "found = {name.partition('.')[0] for name in sys.modules} - sys.stdlib_module_names\n"
        "print(json.dumps(sorted(found)))"
    )
    done = run(device, tmp_path, "-c", code)
    assert done.returncode == 0, done.stderr
    found = set(json.loads(done.stdout.splitlines()[-1]))
    assert {"numpy", "ai_edge_litert", "profiling"} <= found
    others = {name for name in found if not name.startswith("_")} - {"cython_runtime"}  # NumPy's
    assert others == {"numpy", "ai_edge_litert", "profiling"}


def test_its_code_is_python_3_9(bundle):
    for path in bundle.rglob("*.py"):
        ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 9))


def test_measuring_leaves_a_bundle_as_it_was_written(bundle, profile):
    files = {str(path.relative_to(bundle)) for path in bundle.rglob("*") if path.is_file()}
    assert files == {ORDER, *json.loads((bundle / ORDER).read_text())["files"]}


@pytest.mark.parametrize("package", ["tflite_runtime", "tensorflow.lite.python"])
def test_an_older_package_with_the_interpreter_measures_as_well(bundle, tmp_path, package):
    """The interpreter under the name that it has there; its own code is the same here."""
    folder = packages(tmp_path, np)
    (folder / "real").mkdir()
    (folder / "real" / "ai_edge_litert").symlink_to(ai_edge_litert.__path__[0])
    place = folder.joinpath(*package.split("."))
    place.mkdir(parents=True)
    for part in (place, *place.relative_to(folder).parents[:-1]):
        (folder / part / "__init__.py").write_text("__version__ = '2.14.0'\n")
    (place / "interpreter.py").write_text(
        "import sys\n"
        f"sys.path.append({str(folder / 'real')!r})\n"
        "from ai_edge_litert.interpreter import Interpreter, OpResolverType\n"
    )
    for info in folder.glob("*.dist-info"):
        info.unlink()
    where = tmp_path / "where"
    where.mkdir()
    done = measure(bundle, folder, where, "--rounds=1")
    assert done.returncode == 0, done.stderr
    name = package.partition(".")[0].replace("_", "-")
    assert load_profile(where / "server.profile.json").latency.runtime_version == f"{name} 2.14.0"


def test_a_device_without_the_runtime_is_told_what_to_install(bundle, tmp_path):
    numpy_only = packages(tmp_path, np)
    done = measure(bundle, numpy_only, tmp_path)
    assert done.returncode == 1
    assert done.stderr == (
        "this bundle is for LiteRT (No module named 'ai_edge_litert'): "
        "python3 -m pip install ai-edge-litert numpy\n"
    )


def test_a_bundle_for_onnx_runtime_tells_a_device_with_litert_what_it_is_for(device, tmp_path):
    folder = tmp_path / "b"
    assert plan("profile", QUICKSTART, "--bundle", folder, "--set", "profiling.rounds=3") == 0
    done = measure(folder, device, tmp_path)
    assert done.returncode == 1
    assert done.stderr == (
        "this bundle is for ONNX Runtime (No module named 'onnxruntime'): "
        "python3 -m pip install onnxruntime numpy\n"
    )


def test_a_bundle_that_lacks_its_models_is_told_in_one_line(bundle, device, tmp_path):
    folder = tmp_path / "b"
    shutil.copytree(bundle, folder)
    (folder / "models" / "pieces.bin").unlink()
    done = measure(folder, device, tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("ai-edge-litert ")
    assert "cannot measure the models" in done.stderr
    assert "pieces.bin" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_plan_needs_the_profile_only(profile, tmp_path, capsys):
    settings = ("--set", f"devices.2.profile={profile}", *FEW)
    assert plan(SCENARIO, "--out", tmp_path / "o", "--json", *settings) in (0, 4)
    found = json.loads(capsys.readouterr().out)
    assert found["status"] in ("optimal", "feasible")
    used = json.loads((tmp_path / "o" / "profile.json").read_text())["server"]["latency"]
    assert used == json.loads(profile.read_text())["latency"]


def test_a_device_that_serves_its_bundle_is_measured_over_the_network(tmp_path, capsys):
    pytest.importorskip("zenoh", reason="needs the extra: pip install 'splitquant[hosts]'")
    folder, out = tmp_path / "server", tmp_path / "p.json"
    host = f"server=127.0.0.1:{free_ports(1)[0]}"
    assert plan("profile", SCENARIO, "--bundle", folder, "--host", host, *FEW) == 0
    with ServedBundle(folder):
        assert plan("profile", SCENARIO, "--host", host, "--out", out, *FEW) == 0
    assert load_profile(out).latency.runtime == "litert"
    assert "written to" in capsys.readouterr().out


def test_a_profile_of_another_runtime_is_refused(tmp_path, capsys):
    here = tmp_path / "here.json"
    fast = ("--set", "profiling.rounds=3", "--out", here)
    assert plan("profile", QUICKSTART, "--device", "server", *fast) == 0
    capsys.readouterr()
    assert plan(SCENARIO, "--json", "--set", f"devices.2.profile={here}", *FEW) == 1
    said = " ".join(capsys.readouterr().err.split())
    assert "was measured with runtime onnxruntime, but server runs litert; make one with it:" in said


def test_a_profile_of_another_model_is_refused(profile, tmp_path, capsys):
    content = json.loads(profile.read_text())
    content["latency"]["model_sha256"] = "0" * 64
    other = tmp_path / "other.json"
    other.write_text(json.dumps(content))
    assert plan(SCENARIO, "--json", "--set", f"devices.2.profile={other}", *FEW) == 1
    assert "is the profile of another model" in " ".join(capsys.readouterr().err.split())


@needs_tensorflow
def test_a_plan_over_two_runtimes_takes_the_profile_of_a_device_with_litert(device, tmp_path, capsys):
    folder, out = tmp_path / "b", tmp_path / "o"
    assert plan("profile", BOTH, "--device", "board", "--bundle", folder, *FEW) == 0
    done = measure(folder, device, tmp_path)
    assert done.returncode == 0, done.stderr
    capsys.readouterr()
    profile = f"devices.2.profile={tmp_path / 'board.profile.json'}"
    assert plan(BOTH, "--out", out, "--json", "--set", profile, *FEW) in (0, 4)
    found = json.loads(capsys.readouterr().out)
    assert found["status"] in ("optimal", "feasible")
    profiles = json.loads((out / "profile.json").read_text())
    measured = json.loads((tmp_path / "board.profile.json").read_text())
    assert profiles["board"]["latency"] == measured["latency"]
    assert profiles["server"]["latency"]["provider"] == "CPUExecutionProvider"
