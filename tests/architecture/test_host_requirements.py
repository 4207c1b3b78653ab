"""What a host installs comes with the hashes of the lock; `pytest --golden` writes the file anew."""

import re

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from repository import ROOT

LOCK = ROOT / "requirements" / "lock.txt"
TEMPLATES = ROOT / "planner" / "hosts" / "templates"
# What `serve.py` imports, and what these packages need.
_ALL = ("eclipse-zenoh", "flatbuffers", "numpy", "protobuf")
PACKAGES = {
    "requirements.lock": (*_ALL, "onnxruntime", "packaging"),
    "requirements-litert.lock": (
        *_ALL,
        "ai-edge-litert",
        "backports-strenum",
        "ml-dtypes",
        "tqdm",
        "typing-extensions",
    ),
}


def of_the_lock(packages) -> str:
    parts = re.split(r"\n(?=[a-z0-9])", LOCK.read_text(encoding="utf-8"))[1:]
    chosen = []
    for part in parts:
        lines = [line for line in part.splitlines() if not line.strip().startswith("#")]
        requirement = Requirement(lines[0].rstrip(" \\"))
        if canonicalize_name(requirement.name) in packages:
            # Any Python that has wheels of these versions will do on a host.
            lines[0] = f"{requirement.name}{requirement.specifier} \\"
            chosen.append("\n".join(lines))
    return "\n".join(chosen) + "\n"


@pytest.mark.parametrize("file", PACKAGES)
def test_hosts_install_what_the_lock_has(file, request):
    text = of_the_lock(PACKAGES[file])
    if request.config.getoption("--golden"):
        (TEMPLATES / file).write_text(text, encoding="utf-8")
    assert (TEMPLATES / file).read_text(encoding="utf-8") == text
    assert {line.partition("==")[0] for line in text.splitlines() if "==" in line} == set(PACKAGES[file])
