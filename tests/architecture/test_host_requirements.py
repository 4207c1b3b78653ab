"""What a host installs comes with the hashes of the lock; `pytest --golden` writes the file anew."""

import re

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from repository import ROOT

LOCK = ROOT / "requirements" / "lock.txt"
HOSTS = ROOT / "planner" / "hosts" / "templates" / "requirements.lock"
# What `serve.py` imports, and what these packages need.
PACKAGES = ("eclipse-zenoh", "flatbuffers", "numpy", "onnxruntime", "packaging", "protobuf")


def of_the_lock() -> str:
    parts = re.split(r"\n(?=[a-z0-9])", LOCK.read_text(encoding="utf-8"))[1:]
    chosen = []
    for part in parts:
        lines = [line for line in part.splitlines() if not line.strip().startswith("#")]
        requirement = Requirement(lines[0].rstrip(" \\"))
        if canonicalize_name(requirement.name) in PACKAGES:
            # Any Python that has wheels of these versions will do on a host.
            lines[0] = f"{requirement.name}{requirement.specifier} \\"
            chosen.append("\n".join(lines))
    return "\n".join(chosen) + "\n"


def test_hosts_install_what_the_lock_has(request):
    if request.config.getoption("--golden"):
        HOSTS.write_text(of_the_lock(), encoding="utf-8")
    assert HOSTS.read_text(encoding="utf-8") == of_the_lock()
    assert {line.partition("==")[0] for line in of_the_lock().splitlines() if "==" in line} == set(PACKAGES)
