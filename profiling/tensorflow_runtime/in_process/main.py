"""The process with TensorFlow: does what comes over a connection, one after another, until that is closed."""

import signal
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import tensorflow as tf

from profiling.tensorflow_runtime.in_process.graph_files import CutEnd, OpenedGraph, cut_out, opened
from profiling.tensorflow_runtime.in_process.running import Feeds, function_of, times_of

_START_ROUNDS = 100


class _Models:
    """The graphs that were handed over, by number."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._graphs: dict[int, OpenedGraph] = {}
        self._whole: dict[int, Callable[[Feeds], Feeds]] = {}
        self._opened = 0

    def open(self, content: bytes) -> int:
        """Take a SavedModel's file."""
        graph = opened(content)
        self._opened += 1
        self._graphs[self._opened] = graph
        self._whole[self._opened] = function_of(graph, graph.inputs, graph.outputs)
        return self._opened

    def close(self, number: int) -> None:
        """Forget a graph."""
        del self._graphs[number], self._whole[number]

    def ends(self, number: int) -> tuple[list[tuple[str, Any, str]], ...]:
        """Return (name, shape, type) of inputs, and of outputs."""
        graph = self._graphs[number]
        return tuple(
            [(key, *_form(graph.tensor(tensor))) for key, tensor in side.items()]
            for side in (graph.inputs, graph.outputs)
        )

    def end_tensors(self, number: int) -> tuple[dict[str, str], dict[str, str]]:
        """Return name -> tensor of the graph, of inputs and of outputs."""
        return self._graphs[number].inputs, self._graphs[number].outputs

    def operators(self, number: int) -> list[tuple[str, str, list[str], list[tuple[str, Any, str]], int]]:
        """Return name, type, inputs, (output, shape, type) and bytes of constants of each operator."""
        graph = self._graphs[number]
        return [
            (
                op.name,
                op.type,
                [tensor.name for tensor in op.inputs],
                [(tensor.name, *_form(tensor)) for tensor in op.outputs],
                len(op.get_attr("value").tensor_content) if op.type == "Const" else 0,
            )
            for op in graph.wrapped.graph.get_operations()
        ]

    def run(self, number: int, feeds: Feeds) -> Feeds:
        """Return outputs of one sample."""
        return self._whole[number](feeds)

    def values(self, number: int, tensors: Sequence[str], samples: Sequence[Feeds]) -> list[Feeds]:
        """Return tensors of a graph for each sample."""
        graph = self._graphs[number]
        run = function_of(graph, graph.inputs, {name: name for name in tensors})
        return [run(feeds) for feeds in samples]

    def cut(self, number: int, inputs: Sequence[Any], outputs: Sequence[Any]) -> bytes:
        """Return the SavedModel's file of a part of a graph."""
        return cut_out(self._graphs[number], *([CutEnd(*end) for end in side] for side in (inputs, outputs)))

    def time(self, work: Sequence[tuple[int, Feeds]], rounds: int) -> list[list[float]]:
        """Return the seconds of each round of some models, in turn."""
        return self._times([partial(self._whole[number], feeds) for number, feeds in work], rounds)

    def start(self) -> float:
        """Return the seconds of a run that computes hardly anything."""
        one = tf.function(tf.identity).get_concrete_function(tf.TensorSpec([1], tf.float32))
        fed = np.ones(1, np.float32)
        return float(np.median(self._times([lambda: one(tf.constant(fed)).numpy()], _START_ROUNDS)[0]))

    def _times(self, calls: Sequence[Callable[[], object]], rounds: int) -> list[list[float]]:
        # What other processes do does not count where one thread computes.
        return times_of(calls, rounds, time.process_time if self._threads == 1 else time.perf_counter)

    def time_parts(
        self, number: int, parts: Sequence[tuple[list[str], list[str]]], feeds: Feeds, rounds: int
    ) -> list[list[float]]:
        """Return the seconds of each round of the whole graph, then of parts of it, in turn."""
        graph = self._graphs[number]
        needed = dict.fromkeys(tensor for inputs, _ in parts for tensor in inputs)
        values = function_of(graph, graph.inputs, {name: name for name in needed})(feeds)
        calls: list[Callable[[], object]] = [partial(self._whole[number], feeds)]
        for inputs, outputs in parts:
            run = function_of(graph, {t: t for t in inputs}, {t: t for t in outputs})
            calls.append(partial(run, {tensor: values[tensor] for tensor in inputs}))
        return self._times(calls, rounds)

    def version(self) -> str:
        """Return TensorFlow's version."""
        return f"tensorflow {tf.__version__}"


def _form(tensor: Any) -> tuple[Any, str]:
    shape = None if tensor.shape.rank is None else [d or 0 for d in tensor.shape.as_list()]
    return shape, tensor.dtype.name


def main() -> None:
    """Answer until the other end is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # what waits for an answer decides on an interrupt
    descriptor, threads = map(int, sys.argv[1:])
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    connection, models = Connection(descriptor), _Models(threads)
    while True:
        try:
            command, arguments, forgotten = connection.recv()
        except EOFError:
            return
        for number in forgotten:
            models.close(number)
        try:
            answer: tuple[bool, Any] = True, getattr(models, command)(*arguments)
        except Exception as exc:  # noqa: BLE001  TensorFlow raises anything
            answer = False, f"{type(exc).__name__}: {exc}"
        connection.send(answer)


if __name__ == "__main__":
    main()
