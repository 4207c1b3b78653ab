"""Parts of graphs as functions that take and give NumPy arrays, run and timed."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from profiling.tensorflow_runtime.in_process.graph_files import OpenedGraph, part_of

Feeds = dict[str, Any]
_LEAST_ROUNDS, _MOST_ROUNDS, _TIMED_S, _TICK_S = 8, 100, 0.4, 1e-6


def function_of(
    graph: OpenedGraph, inputs: dict[str, str], outputs: dict[str, str]
) -> Callable[[Feeds], Feeds]:
    """Return a function from some tensors to others.

    Parameters
    ----------
    inputs, outputs
        Name for the caller -> tensor of the graph.
    """
    passed_on = {key: fed for key, tensor in outputs.items() for fed, t in inputs.items() if t == tensor}
    computed = {key: tensor for key, tensor in outputs.items() if key not in passed_on}
    part = part_of(graph.graph_def, inputs.values(), list(computed.values()))

    def imported(*fed: Any) -> list[Any]:
        return part.imported(dict(zip(inputs.values(), fed, strict=True)))

    given = [graph.tensor(tensor) for tensor in inputs.values()]
    whole = tf.compat.v1.wrap_function(imported, [tf.TensorSpec(one.shape, one.dtype) for one in given])
    function = whole.prune(whole.inputs, whole.outputs)

    def run(feeds: Feeds) -> Feeds:
        found = function(*(tf.constant(feeds[key]) for key in inputs))
        answers = dict(zip(computed, (one.numpy() for one in found), strict=True))
        return answers | {key: np.asarray(feeds[source]) for key, source in passed_on.items()}

    return run


def times_of(
    calls: Sequence[Callable[[], object]], rounds: int, clock: Callable[[], float]
) -> list[list[float]]:
    """Return the seconds of every round of each call, all in turn.

    Parameters
    ----------
    rounds
        0 for as many as the first call's seconds ask for.
    """
    for call in calls:  # the first run compiles
        call()
    began = clock()
    calls[0]()
    alone_s = max(clock() - began, _TICK_S)
    count = rounds or int(min(_MOST_ROUNDS, max(_LEAST_ROUNDS, _TIMED_S / alone_s)))
    seconds: list[list[float]] = [[] for _ in calls]
    for _ in range(count):
        for number, call in enumerate(calls):
            began = clock()
            call()
            seconds[number].append(clock() - began)
    return seconds
