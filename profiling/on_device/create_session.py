"""Creates ONNX Runtime's sessions with their options, on every device: threads, optimization, traces."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

ERRORS_ONLY = 3  # severity of ONNX Runtime's log
_NUMPY_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(uint8)": np.uint8}


class Optimization(Enum):
    """How far ONNX Runtime may rewrite the graph."""

    NONE = "none"  # every node as the model has it; shapes are those of real tensors
    FOLDING = "folding"  # as basic, but only to operators that the quantization tool takes
    BASIC = "basic"  # no layout change: a chain of stages equals the whole model bit for bit
    DEFAULT = "default"  # what a user gets


_LEVELS = {
    Optimization.NONE: ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
    Optimization.FOLDING: ort.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    Optimization.BASIC: ort.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    Optimization.DEFAULT: ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
}
# It makes a SpaceToDepth, which has no integer form, of slices, which have one.
_FUSION = "SliceConcatToSpaceToDepthFusion"


def session_options(threads: int, optimization: Optimization = Optimization.DEFAULT) -> ort.SessionOptions:
    """Return options of a session that runs one request at a time, without spinning threads."""
    options = ort.SessionOptions()
    options.graph_optimization_level = _LEVELS[optimization]
    if optimization is Optimization.FOLDING:
        options.add_session_config_entry("optimization.disable_specified_optimizers", _FUSION)
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = ERRORS_ONLY
    # Sessions live side by side and are compared: a spinning pool would slow its neighbours.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Without it x86 processors run a stage whose input is int8 (symmetric activations) in float.
    options.add_session_config_entry("session.qdqisint8allowed", "1")
    return options


def create_session(model: str | bytes, options: ort.SessionOptions, provider: str) -> ort.InferenceSession:
    """Return a session of a model's file, or of its bytes, on this provider and no other.

    Without it the runtime would go on with the CPU where a provider fails, and its seconds would be those.
    """
    return ort.InferenceSession(model, options, providers=[provider], enable_fallback=0)


def trace_into(options: ort.SessionOptions, profile: Path | None, optimized: Path | None) -> None:
    """Let a session write its kernel times, and the graph that it really runs; None for neither."""
    if profile is not None:
        options.enable_profiling = True
        options.profile_file_prefix = str(profile)
    if optimized is not None:
        options.optimized_model_filepath = str(optimized)


def find_large_weights(options: ort.SessionOptions, folder: Path) -> None:
    """Let a session of a model in memory find the weights that it names by files of a folder."""
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(folder))


def zero_feeds(session: ort.InferenceSession) -> dict[str, Any]:
    """Return zeros for a session whose inputs have static shapes and are float, float16 or uint8."""
    return {end.name: np.zeros(end.shape, dtype=_NUMPY_TYPES[end.type]) for end in session.get_inputs()}
