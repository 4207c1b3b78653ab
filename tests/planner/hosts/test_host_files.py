import subprocess
import sys
from dataclasses import replace
from importlib import metadata, resources

import pytest

from planner.hosts.endpoints import Endpoint
from planner.hosts.host_files import (
    HOST_CODE,
    README,
    REQUIREMENTS,
    HostTexts,
    ServingCode,
    fill_template,
    write_code,
    write_texts,
)


def texts(runtime: str | None) -> HostTexts:
    return HostTexts("camera", Endpoint("192.0.2.7", 7447), runtime, "plan-a")


def test_what_a_host_runs_is_copied_bit_by_bit_under_its_own_names(tmp_path):
    write_code(tmp_path, HOST_CODE)
    modules = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*.py"))
    copied = [path for path in modules if path.name not in ("__init__.py", "serve.py")]
    assert (tmp_path / "serve.py").is_file()
    assert [path.name for path in copied if path.parts[0] == "profiling"] == ["create_session.py"]
    for path in copied:
        package = ".".join(path.parts[:-1])
        assert (tmp_path / path).read_bytes() == (resources.files(package) / path.name).read_bytes()
    host = resources.files("planner.hosts.on_host")
    own = {entry.name for entry in host.iterdir() if entry.name.endswith(".py")}
    written = {path.name for path in modules if path.parts[:3] == ("planner", "hosts", "on_host")}
    assert written == own - {"serve.py"}


def test_the_packages_are_found_from_beside_the_script_and_the_folder_is_none_itself(tmp_path):
    write_code(tmp_path, ServingCode({"profiling.on_device": ("create_session",)}, "nothing.py"))
    assert not (tmp_path / "__init__.py").exists()
    code = "import profiling.on_device.create_session as found; print(found.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, sys.argv[1]); {code}", tmp_path],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == str(tmp_path / "profiling" / "on_device" / "create_session.py")


def test_every_name_in_a_template_is_replaced(tmp_path):
    write_texts(tmp_path, texts("onnxruntime"))
    for name in (README, "splitquant-camera.service", "Containerfile"):
        text = (tmp_path / name).read_text()
        assert "$device" not in text
        assert "$port" not in text
    assert "7447" in (tmp_path / README).read_text()
    with pytest.raises(KeyError):
        fill_template("service", {}, tmp_path / "x")


def test_a_service_is_handed_its_key_where_there_is_one(tmp_path):
    for has_keys in (True, False):
        write_texts(tmp_path, replace(texts(None), has_keys=has_keys))
        lines = (tmp_path / "splitquant-camera.service").read_text().splitlines()
        credential = "LoadCredential=splitquant-key.pem:/opt/splitquant/camera/keys/key.pem"
        assert (credential in lines) == has_keys
        assert "ExecStart=/opt/splitquant/camera/venv/bin/python serve.py" in lines


@pytest.mark.parametrize("runtime", ["onnxruntime", None])
def test_a_host_installs_the_versions_of_here_and_one_that_forwards_no_runtime(tmp_path, runtime):
    write_texts(tmp_path, texts(runtime))
    text = (tmp_path / REQUIREMENTS).read_text()
    for name in ("numpy", "eclipse-zenoh"):
        assert f"{name}=={metadata.version(name)}" in text
    assert (f"onnxruntime=={metadata.version('onnxruntime')}" in text) == (runtime is not None)
