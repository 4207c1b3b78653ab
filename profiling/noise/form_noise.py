"""Noise of units in a precision in which tensors stay in float: each runs in it by itself."""

from collections.abc import Sequence

import onnx
import onnxruntime as ort

from profiling.arrays import Feeds
from profiling.graph.unit_graph import ModelGraph
from profiling.noise.noise_pair import NoisePair, tap_over_output
from profiling.noise.noise_sources import NoiseSources
from profiling.noise.suffix_runner import SuffixRunner
from profiling.progress import Progress, silent
from profiling.quantization.node_form import with_forms
from profiling.quantization.node_forms import form_of
from profiling.quantization.qdq_model import Scheme
from profiling.records.profile import NoiseProfile, UnitNoise


def measure_form_noise(
    graph: ModelGraph,
    scheme: Scheme,
    samples: Sequence[Feeds],
    only: NoiseSources | None = None,
    progress: Progress = silent,
) -> NoiseProfile:
    """Run one unit at a time in a precision, as the runtime computes it, and what lies behind in float.

    Parameters
    ----------
    samples, only
        As `profiling.noise.measure_noise.measure_noise` has them.
    """
    form = form_of(scheme.precision, reduce_range=scheme.reduce_range)
    runner = SuffixRunner(graph, samples)
    chosen = [unit.name for unit in graph.units if unit.can_be(scheme.precision)]
    if only is not None:
        chosen = [name for name in chosen if name in only.units]
    found = dict[str, NoisePair]()
    for unit in graph.units:
        if unit.name not in chosen:
            runner.advance()
            continue

        def in_form(part: onnx.ModelProto) -> onnx.ModelProto:
            return with_forms(part, {node.name: form for node in part.graph.node})

        changed = runner.outputs_of_changed_unit(in_form)
        runner.advance()
        found[unit.name] = runner.noise_of(changed)
        progress("noise", len(found), len(chosen))
    ratio = tap_over_output(list(found.values()))
    return NoiseProfile(
        model_sha256=graph.model_sha256,
        runtime_version=ort.__version__,
        scheme=scheme.label,
        samples=len(samples),
        tensors=(),
        units=tuple(UnitNoise(name, noise.summable(ratio)) for name, noise in found.items()),
    )
