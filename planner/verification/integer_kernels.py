"""How many kernels compute on integers in the models that the runtime has optimized."""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from profiling.arrays import Array, Feeds
from profiling.directories import temporary_folder
from profiling.graph.any_model import AnyModel, Stage
from profiling.graph.integer_operators import is_integer_operator
from profiling.on_device.kernels import read_op_types
from profiling.runtime.open_session import Runtime, Trace, open_session, run_session
from profiling.runtime_names import LITERT, ONNX_RUNTIME
from profiling.stage_session import TFLITE_SUFFIX, naming_litert, open_stage, runtime_of_model

_ON_INTEGERS = " on integers"


def count_kernels(models: Iterable[AnyModel | Path], feeds: Feeds, runtime: Runtime) -> Counter[str]:
    """Return operator type -> kernels that run in a chain.

    ONNX Runtime's are from its own profile of one sample. LiteRT runs what a file says.
    """
    values: dict[str, Array] = dict(feeds)
    counts = Counter[str]()
    with temporary_folder("kernels-") as folder:
        for number, model in enumerate(models):
            if runtime_of_model(model) != ONNX_RUNTIME:
                content = _tflite_content(model)
                counts.update(() if content is None else _litert_operators(content))
                session = open_stage(model, runtime)
                values |= run_session(session, {end.name: values[end.name] for end in session.get_inputs()})
                continue
            traced = open_session(model, runtime, trace=Trace(folder / f"run{number}"))  # type: ignore[arg-type]
            values |= run_session(traced, {end.name: values[end.name] for end in traced.get_inputs()})
            counts.update(read_op_types(Path(traced.end_profiling())))
    return counts


def integer_kernels(kernels: Mapping[str, int]) -> int:
    """Return how many kernels compute on integers.

    Parameters
    ----------
    kernels
        From `count_kernels`.
    """
    return sum(
        count
        for op_type, count in kernels.items()
        if is_integer_operator(op_type) or op_type.endswith(_ON_INTEGERS)
    )


def _tflite_content(model: AnyModel | Path) -> bytes | None:
    """Return the bytes of a `.tflite` model, None for others."""
    if isinstance(model, Path):
        return model.read_bytes() if model.suffix == TFLITE_SUFFIX else None
    return model.content if isinstance(model, Stage) and model.runtime == LITERT else None


def _litert_operators(content: bytes) -> Counter[str]:
    with naming_litert():
        from profiling.litert.planning.integer_operators import operator_kinds
    return Counter(
        kind + _ON_INTEGERS if on_integers else kind for kind, on_integers in operator_kinds(content)
    )
