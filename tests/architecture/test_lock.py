"""The lock is of what pyproject.toml asks for, and installs from wherever a machine gets its packages."""

import json
import re
import subprocess
import sys
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from repository import ROOT

from planner.cli.commands import main
from planner.cli.versions import TESTED

TEXT = (ROOT / "requirements" / "lock.txt").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PYTHONS = ("3.11", "3.12")
NOT_LOCKED = {"bench", "docs", "ray"}  # a rival; the site; 50 more packages, for a cluster


def locked(python: str) -> dict[str, Version]:
    """Return package -> its version in the lock, on Linux with one Python."""
    place = {"python_version": python, "python_full_version": f"{python}.1", "sys_platform": "linux"}
    lines = [Requirement(line.rstrip(" \\")) for line in TEXT.splitlines() if re.match(r"[a-z0-9]", line)]
    chosen = [one for one in lines if one.marker is None or one.marker.evaluate(place)]
    found = {canonicalize_name(one.name): Version(str(one.specifier).removeprefix("==")) for one in chosen}
    assert len(found) == len(chosen)
    return found


@pytest.mark.parametrize("python", PYTHONS)
def test_the_lock_holds_what_the_project_asks_for(python):
    project, versions = PROJECT["project"], locked(python)
    asked = [*project["dependencies"], *PROJECT["build-system"]["requires"]]
    extras = project["optional-dependencies"]
    asked += [one for name in extras.keys() - NOT_LOCKED for one in extras[name]]
    for one in map(Requirement, asked):
        assert versions[canonicalize_name(one.name)] in one.specifier, one


def test_the_lock_names_the_extras_that_it_holds_and_no_others():
    named = set(re.findall(r"--extra (\w+)", TEXT.partition("==")[0]))
    assert named == PROJECT["project"]["optional-dependencies"].keys() - NOT_LOCKED
    assert not {"mkdocs-material", "ray"} & locked("3.11").keys()


def test_the_lock_is_for_every_python_of_the_project():
    allowed = PROJECT["project"]["requires-python"]
    assert allowed == ">=3.11,<3.13"
    assert f"{sys.version_info.major}.{sys.version_info.minor}" in PYTHONS


def test_the_lock_names_no_host_and_no_folder():
    """Hashes say which file is right; where it comes from is the machine's affair."""
    assert not re.search(r"://|--(?!hash=|universal|python-version|extra|generate-hashes|upgrade)", TEXT)
    assert not re.search(r"(^|[\s@=])(/|\.\.?/|file:)", TEXT)


def test_everything_in_the_lock_has_its_hashes():
    for part in re.split(r"\n(?=[a-z0-9])", TEXT)[1:]:
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", part), part.splitlines()[0]


def test_the_tested_versions_end_with_those_of_the_lock():
    assert {name: versions[-1] for name, versions in TESTED.items()} == {
        name: str(locked("3.11")[name]) for name in TESTED
    }


def test_the_versions_shown_are_those_installed(capsys):
    with pytest.raises(SystemExit) as done:
        main(["inspect", "--versions", "--json"])
    assert not done.value.code
    shown = {one["name"]: one for one in json.loads(capsys.readouterr().out)["libraries"]}
    assert shown.keys() == TESTED.keys()
    code = "import onnxruntime; print(onnxruntime.__version__)"
    own = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown["onnxruntime"]["installed"] == own.stdout.strip()
    assert "1.31.1" in shown["onnxruntime"]["tested"]


@pytest.mark.parametrize("arguments", [["inspect"], ["inspect", "m.onnx", "--versions"]])
def test_inspect_wants_a_model_or_versions(arguments, capsys):
    with pytest.raises(SystemExit) as done:
        main(arguments)
    assert done.value.code == 2
    assert "--versions" in capsys.readouterr().err
