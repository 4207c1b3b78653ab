"""Runs of the process with TensorFlow: it writes sample models, and converts many at a time."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from filelock import FileLock
from repository import ROOT

from planner.conversion.request import FAILURE, ORDER, ConversionRequest

SAMPLES = ROOT / "tests" / "support" / "keras_samples.py"


def keras_samples(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of one's own with sample models; all processes of a run share the writing of them."""
    base = tmp_path_factory.getbasetemp()
    written = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / f"keras-{kind}"
    with FileLock(f"{written}.lock"):
        if not written.is_dir():
            _write_keras_samples(kind, Path(f"{written}.part")).rename(written)
    return shutil.copytree(written, tmp_path_factory.mktemp("keras") / kind)


def _write_keras_samples(kind: str, folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    done = subprocess.run(
        [sys.executable, SAMPLES, kind, folder], capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return folder


def convert_together(requests: list[ConversionRequest], folders: list[Path]) -> int:
    """Convert all in one process, as TensorFlow takes seconds to start; return its code."""
    for request, folder in zip(requests, folders, strict=True):
        (folder / ORDER).write_bytes(msgspec.json.encode(request))
    call = [sys.executable, "-m", "planner.conversion.tf_worker.main", "convert", *folders]
    return subprocess.run(call, capture_output=True, check=False, timeout=1200, cwd=ROOT).returncode


def failures(folders: list[Path]) -> list[str]:
    """Return what went wrong in each folder, empty where nothing did."""
    files = [folder / FAILURE for folder in folders]
    return [file.read_text(encoding="utf-8") if file.is_file() else "" for file in files]
