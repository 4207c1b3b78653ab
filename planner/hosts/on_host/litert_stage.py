"""Opens and runs a `.tflite` stage with LiteRT."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from planner.hosts.on_host.host_manifest import HostedStage, HostManifestError, RuntimeSpec
from planner.hosts.on_host.messages import TensorSpec

_SIGNATURE = "serving_default"
_STDERR = 2


class LitertStage:
    """A stage in LiteRT, with the threads that the plan was measured with.

    Raises
    ------
    HostManifestError
        If the file cannot be opened, or its inputs and outputs are not those of the manifest.
    """

    def __init__(self, folder: Path, stage: HostedStage, runtime: RuntimeSpec) -> None:
        from ai_edge_litert.interpreter import Interpreter

        path = folder / stage.files[0].file
        try:
            with _silent_runtime():
                self._interpreter = Interpreter(model_path=str(path), num_threads=runtime.threads)
                runner = self._interpreter.get_signature_runner(_SIGNATURE)
                inputs, outputs = runner.get_input_details(), runner.get_output_details()
                del runner  # the interpreter allocates only while nobody else holds it
                self._interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as exc:
            raise HostManifestError(f"{path}: {runtime.name} cannot open it: {exc}") from exc
        for what, ends, specs in (("inputs", inputs, stage.inputs), ("outputs", outputs, stage.outputs)):
            if _specs(ends) != {spec.name: spec for spec in specs}:
                raise HostManifestError(f"{path}: its {what} are not those of the manifest; deploy again")
        self._inputs = {name: int(one["index"]) for name, one in inputs.items()}
        self._outputs = {name: int(one["index"]) for name, one in outputs.items()}

    def run(self, feeds: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return output name -> array for one sample."""
        for name, index in self._inputs.items():
            self._interpreter.set_tensor(index, feeds[name])
        self._interpreter.invoke()
        return {name: self._interpreter.get_tensor(index) for name, index in self._outputs.items()}


@contextmanager
def _silent_runtime() -> Iterator[None]:
    """Keep from the host's log what the runtime writes to descriptor 2: what it made. Errors are raised."""
    sys.stderr.flush()
    kept, nowhere = os.dup(_STDERR), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, _STDERR)
        yield
    finally:
        os.dup2(kept, _STDERR)
        os.close(kept)
        os.close(nowhere)


def _specs(ends: Mapping[str, Any]) -> dict[str, TensorSpec]:
    return {
        name: TensorSpec(name, np.dtype(one["dtype"]).name, tuple(int(size) for size in one["shape"]))
        for name, one in ends.items()
    }
