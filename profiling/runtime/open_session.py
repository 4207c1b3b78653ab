"""The one door to ONNX Runtime sessions: threads, provider and optimization are always explicit.

The runtime is called in `profiling.on_device.create_session`, which devices have as well.
"""

import logging
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, TypeVar

import onnx
import onnxruntime as ort

from profiling.arrays import Array as Array
from profiling.arrays import Feeds
from profiling.directories import ROOT
from profiling.errors import ModelError
from profiling.on_device.clock.run_clock import RunClock, clock_of
from profiling.on_device.create_session import (
    ERRORS_ONLY,
    Optimization,
    create_session,
    find_large_weights,
    session_options,
    trace_into,
)
from profiling.printable_text import first_line

log = logging.getLogger(__name__)

T = TypeVar("T")


ort.set_default_logger_severity(ERRORS_ONLY)  # the tools' own sessions too
_SILENT = 4  # fatal
_MOST_AT_ONCE = 8  # each needs memory for a run of its own


@dataclass(frozen=True, slots=True)
class Runtime:
    """How a device runs models.

    Parameters
    ----------
    threads
        Intra-op threads of every session.
    provider
        ONNX Runtime execution provider.
    """

    threads: int = 1
    provider: str = "CPUExecutionProvider"

    @property
    def clock(self) -> RunClock:
        """The clock of its runs."""
        return clock_of(self.threads, self.provider)


@dataclass(frozen=True, slots=True)
class Trace:
    """Where a session writes its kernel times and the graph that it really runs; None for neither."""

    profile_prefix: Path | None = None
    optimized_model: Path | None = None


class RunnableSession(Protocol):
    """What runs requests as a session of ONNX Runtime does."""

    def get_outputs(self) -> Sequence[Any]:
        """Return what it gives, each with a name."""

    def run(self, names: Sequence[str] | None, feeds: Any, options: Any = None, /) -> Sequence[Any]:
        """Return outputs by name."""


def open_session(
    model: onnx.ModelProto | Path,
    runtime: Runtime,
    optimization: Optimization = Optimization.DEFAULT,
    trace: Trace | None = None,
    execution_order: ort.ExecutionOrder = ort.ExecutionOrder.DEFAULT,
) -> ort.InferenceSession:
    """Return a session that runs one request at a time, without spinning threads.

    Parameters
    ----------
    execution_order
        Of its nodes: by default the runtime walks back from the last output, so that what other outputs
        need waits in memory; `PRIORITY_BASED` is the model's own order.

    Raises
    ------
    ModelError
        If the runtime refuses the model or lacks the provider.
    """
    if runtime.provider not in ort.get_available_providers():
        available = ", ".join(ort.get_available_providers())
        raise ModelError(f"this ONNX Runtime has no {runtime.provider}; it has {available}")
    options = session_options(runtime.threads, optimization)
    options.execution_order = execution_order
    if trace is not None:
        trace_into(options, trace.profile_prefix, trace.optimized_model)
    if not isinstance(model, Path):  # a model in memory names its large weights from the root
        find_large_weights(options, ROOT)
    source = str(model) if isinstance(model, Path) else model.SerializeToString()
    try:
        return create_session(source, options, runtime.provider)
    except Exception as exc:  # the runtime's exceptions share no public base class
        log.debug("no session at level %s: %s", optimization.value, exc)
        raise ModelError(f"ONNX Runtime cannot load the model: {first_line(exc)}") from exc


def run_session(session: RunnableSession, feeds: Feeds) -> dict[str, Array]:
    """Run one sample and return its outputs by name."""
    names = [output.name for output in session.get_outputs()]
    options = ort.RunOptions()
    options.log_severity_level = _SILENT  # a failure is raised
    return dict(zip(names, session.run(names, dict(feeds), options), strict=True))


def run_samples(session: RunnableSession, samples: Iterable[Feeds]) -> Iterator[dict[str, Array]]:
    """Yield the outputs of each sample by name, several at once as `run_at_once` does."""
    return run_at_once(partial(run_session, session), samples)


def run_at_once(run: Callable[[Feeds], T], samples: Iterable[Feeds]) -> Iterator[T]:
    """Yield what `run` returns for each sample, as many at once as there are cores, up to eight.

    For numbers, not seconds: sessions of one thread keep every core busier so than those of all cores. One
    more sample waits its turn, so that no core rests while a caller looks at an answer.
    """
    count, left = min(_cores(), _MOST_AT_ONCE), iter(samples)
    with ThreadPoolExecutor(count) as pool:
        running = deque(pool.submit(run, sample) for sample in islice(left, count + 1))
        while running:
            answer = running.popleft().result()
            running.extend(pool.submit(run, sample) for sample in islice(left, 1))
            yield answer


def runtime_for(samples: int) -> Runtime:
    """Return how to run so many samples for their numbers: few of them get the idle cores as threads."""
    return Runtime(threads=max(1, _cores() // min(max(1, samples), _MOST_AT_ONCE)))


def _cores() -> int:
    return os.cpu_count() or 1
