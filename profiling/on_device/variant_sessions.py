"""What opens the models of a measurement plan in ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import onnxruntime as ort


class VariantSessions(Protocol):
    """Opens the models of a plan, as `StagedVariants` does, and what ONNX Runtime needs besides."""

    def plain(self, variant: int) -> ort.InferenceSession:
        """Return a variant as a user would run it."""

    def traced(self, variant: int, profile: Path, optimized: Path) -> ort.InferenceSession:
        """Return a variant with tagged names, under the profiler, and write the graph that it runs."""

    def stage(self, variant: int, number: int) -> ort.InferenceSession:
        """Return a stage of one of the first variants."""

    def overflow_probe(self) -> ort.InferenceSession:
        """Return the tiny model that shows whether int8 kernels overflow."""

    def wire(self, number: int) -> ort.InferenceSession:
        """Return a tiny model that encodes or decodes."""
