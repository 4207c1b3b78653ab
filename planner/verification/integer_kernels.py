"""How many kernels compute on integers in the models that the runtime has optimized."""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

import onnx

from profiling.arrays import Array, Feeds
from profiling.directories import temporary_folder
from profiling.graph.integer_operators import is_integer_operator
from profiling.on_device.kernels import read_op_types
from profiling.runtime.open_session import Runtime, Trace, open_session, run_session


def count_kernels(models: Iterable[onnx.ModelProto | Path], feeds: Feeds, runtime: Runtime) -> Counter[str]:
    """Return operator type -> kernels that run in a chain, from the runtime's own profile of one sample."""
    values: dict[str, Array] = dict(feeds)
    counts = Counter[str]()
    with temporary_folder("kernels-") as folder:
        for number, model in enumerate(models):
            session = open_session(model, runtime, trace=Trace(folder / f"run{number}"))
            values |= run_session(session, {end.name: values[end.name] for end in session.get_inputs()})
            counts.update(read_op_types(Path(session.end_profiling())))
    return counts


def integer_kernels(kernels: Mapping[str, int]) -> int:
    """Return how many kernels compute on integers.

    Parameters
    ----------
    kernels
        From `count_kernels`.
    """
    return sum(count for op_type, count in kernels.items() if is_integer_operator(op_type))
