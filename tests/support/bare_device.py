"""Python as it is on a device: some packages, and nothing else of this machine."""

import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType


def packages(folder: Path, *modules: ModuleType) -> Path:
    """Return a folder of packages that has these, and nothing else."""
    for package in (Path(module.__path__[0]) for module in modules):
        for part in (package, package.with_name(f"{package.name}.libs")):
            if part.is_dir():
                (folder / part.name).symlink_to(part)
    return folder


def run(device: Path, where: Path, *arguments: str) -> subprocess.CompletedProcess:
    """Run Python with these packages: no site packages of this machine, no settings that help."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    env["PYTHONPATH"] = str(device)
    command = [sys.executable, "-S", *arguments]
    return subprocess.run(command, cwd=where, capture_output=True, text=True, env=env)
