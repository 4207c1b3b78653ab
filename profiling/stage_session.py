"""Opens a stage in the runtime that it is for."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from profiling.arrays import Array
from profiling.errors import ModelError
from profiling.graph.any_model import AnyModel, Stage
from profiling.on_device.create_session import Optimization
from profiling.runtime.open_session import Runtime, open_session
from profiling.runtime_names import LITERT, ONNX_RUNTIME, TENSORFLOW

TFLITE_SUFFIX, SAVED_MODEL_SUFFIX = ".tflite", ".pb"
_LITERT_PACKAGES = ("ai_edge_litert", "flatbuffers", "litert_quantizer")


class SessionEnd(Protocol):
    """An input or output of a session."""

    @property
    def name(self) -> str:
        """Its name in the model."""


class StageSession(Protocol):
    """Runs a stage, as a session of ONNX Runtime does."""

    def get_inputs(self) -> Sequence[SessionEnd]:
        """Return what it reads."""

    def get_outputs(self) -> Sequence[SessionEnd]:
        """Return what it gives."""

    def run(
        self, names: Sequence[str] | None, feeds: Mapping[str, Array], options: Any = None
    ) -> list[Array]:
        """Return outputs by name, or all of them in order, of one sample."""


def runtime_of_model(model: AnyModel | Path) -> str:
    """Return the runtime that a model, in memory or as a file, is for."""
    if isinstance(model, Path):
        return {TFLITE_SUFFIX: LITERT, SAVED_MODEL_SUFFIX: TENSORFLOW}.get(model.suffix, ONNX_RUNTIME)
    return model.runtime if isinstance(model, Stage) else ONNX_RUNTIME


def open_stage(
    model: AnyModel | Path, runtime: Runtime, optimization: Optimization = Optimization.DEFAULT
) -> StageSession:
    """Return a session of a stage, or of a whole model, in memory or as a file.

    Parameters
    ----------
    optimization
        Of ONNX Runtime; LiteRT has one way to compute.

    Raises
    ------
    ModelError
        If the runtime refuses the model, or is not installed.
    """
    kind = runtime_of_model(model)
    if kind == ONNX_RUNTIME:
        session: StageSession = open_session(model, runtime, optimization)  # type: ignore[arg-type]
        return session
    content = model.read_bytes() if isinstance(model, Path) else model.content
    return _open_litert(content, runtime) if kind == LITERT else _open_tensorflow(content, runtime)


def _open_litert(content: bytes, runtime: Runtime) -> StageSession:
    with naming_litert():
        from profiling.litert.session import LitertSession
    return LitertSession(content, runtime.threads)


def _open_tensorflow(content: bytes, runtime: Runtime) -> StageSession:
    from profiling.tensorflow_runtime.tensorflow_session import TensorFlowSession

    return TensorFlowSession(content, runtime.threads)


@contextmanager
def naming_litert() -> Iterator[None]:
    """Name the extra where a package of it is imported and not installed.

    Raises
    ------
    ModelError
        Saying what to install.
    """
    try:
        yield
    except ModuleNotFoundError as exc:
        package = (exc.name or "").partition(".")[0]
        if package not in _LITERT_PACKAGES:
            raise
        missing = f"model: needs {package}, which is not installed: pip install 'splitquant[litert]'"
        raise ModelError(missing) from exc
