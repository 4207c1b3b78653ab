"""A `.tflite` model as the user gives it, and as it is measured."""

from collections.abc import Mapping
from pathlib import Path

from planner.errors import ScenarioError
from profiling.graph.any_model import Stage
from profiling.litert.cut import whole_stage
from profiling.litert.load import load_litert, parse_litert
from profiling.litert.planning.litert_model import LitertRuntimeModel
from profiling.litert.shapes import with_shapes
from profiling.litert.unit_graph import build_litert_graph
from profiling.stage_session import TFLITE_SUFFIX


def load_tflite(model: str, signature: str | None, input_shapes: Mapping[str, tuple[int, ...]]) -> Stage:
    """Return a `.tflite` model with static shapes.

    Raises
    ------
    ScenarioError
        If the model is of another kind.
    ModelError
        If it cannot be read.
    """
    path = Path(model)
    if path.suffix != TFLITE_SUFFIX:
        raise ScenarioError(
            f"model: runtime: litert runs {TFLITE_SUFFIX} models, which {model} is not; "
            "give the Keras or TFLite source"
        )
    return whole_stage(with_shapes(load_litert(path, signature or ""), input_shapes))


def litert_model_of(source: Stage, shown: str) -> LitertRuntimeModel:
    """Return a source as it is measured."""
    return LitertRuntimeModel(build_litert_graph(with_shapes(parse_litert(source.content, shown), {})))
