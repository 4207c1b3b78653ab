import os
import subprocess
import sys

import pytest

pytest.importorskip("ai_edge_litert", reason="the extra litert is not installed")
from repository import ROOT

from planner.hosts.on_host.host_manifest import HostedFile, HostedStage, HostManifestError, RuntimeSpec
from planner.hosts.on_host.litert_stage import LitertStage
from planner.hosts.on_host.messages import TensorSpec

FOLDER = ROOT / "scenarios" / "litert"
STAGE = HostedStage(
    0,
    (HostedFile("digits.tflite", ""),),
    (TensorSpec("picture", "float32", (1, 64, 64, 1)),),
    (TensorSpec("logits", "float32", (1, 10)),),
)
RUNTIME = RuntimeSpec("ai-edge-litert", "", 1, "")
_ASK = """
import numpy as np
from test_litert_stage import FOLDER, RUNTIME, STAGE
from planner.hosts.on_host.litert_stage import LitertStage
answer = LitertStage(FOLDER, STAGE, RUNTIME).run({"picture": np.zeros((1, 64, 64, 1), np.float32)})
assert np.isfinite(answer["logits"]).all()
"""


def test_a_stage_is_opened_and_run_without_a_word_of_the_runtime():
    """In a process of its own: the runtime announces what it made once in each."""
    folders = os.pathsep.join(map(str, (ROOT, *sys.path)))
    done = subprocess.run(
        [sys.executable, "-c", _ASK],
        capture_output=True,
        text=True,
        cwd=ROOT / "tests" / "planner" / "hosts" / "on_host",
        env={**os.environ, "PYTHONPATH": folders},
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_file_that_is_none_is_told(tmp_path):
    (tmp_path / "digits.tflite").write_bytes(b"no model")
    with pytest.raises(HostManifestError, match="cannot open it"):
        LitertStage(tmp_path, STAGE, RUNTIME)
