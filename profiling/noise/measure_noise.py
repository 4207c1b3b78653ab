"""Quantization noise at the outputs, one tensor and one unit's weights at a time."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime as ort

from profiling.arrays import Array, Feeds
from profiling.graph.unit_graph import ModelGraph
from profiling.noise.noise_taps import Tap, taps_of
from profiling.onnx_io.external_weights import delete_files
from profiling.onnx_io.extract import Library
from profiling.onnx_io.load import model_hash
from profiling.progress import Progress, silent
from profiling.quantization.fake_quantization import (
    TensorRounding,
    tensor_roundings,
    weight_roundings,
    with_rounded,
)
from profiling.quantization.int16_activations import STEPS
from profiling.quantization.quantize import Calibration, quantize
from profiling.quantization.wire_formats import as_float16
from profiling.records.profile import NoiseProfile, TensorNoise, UnitNoise
from profiling.runtime.session import open_session, run_samples, runtime_for


def measure_noise(
    graph: ModelGraph,
    calibration: Calibration,
    samples: Sequence[Feeds],
    known: tuple[TensorNoise, ...] | None = None,
    progress: Progress = silent,
) -> NoiseProfile:
    """Quantize one tensor, or one unit's weights and inner tensors, at a time and run what lies behind.

    Noise is taken where it adds up (see `profiling.noise.noise_taps`).

    Parameters
    ----------
    calibration
        What `calibrate` wrote for this graph's model.
    samples
        Calibration samples; the noise is their mean.
    known
        Noise of the tensors, where it is known from another scheme.
    """
    chosen = calibration.of(graph.quantizable_nodes)
    quantized = quantize(graph.model, chosen, calibration.ranges, graph.guarded_nodes)
    quantizers = tensor_roundings(quantized)
    weights = weight_roundings(quantized)
    walk = _PrefixRunner(graph, samples)
    boundary = [name for name in graph.boundary_tensors() if name in quantizers and known is None]
    total = len(boundary) + sum(unit.quantizable for unit in graph.units)
    tensors, units = dict[str, _NoisePair](), dict[str, _NoisePair]()
    coarser = dict[str, float | None]()

    def measure_tensors(names: Iterable[str]) -> None:
        for name in boundary:
            if name in names:
                tensors[name] = walk.seen_of_tensor(quantizers[name])
                coarser[name] = walk.float16_error(quantizers[name])
                progress("noise", len(tensors) + len(units), total)

    measure_tensors(graph.inputs)
    for unit in graph.units:
        if unit.quantizable:
            inside = set(unit.nodes)
            nodes = [node for node in graph.model.graph.node if node.name in inside]
            written = [name for node in nodes for name in node.output]
            inner = [quantizers[n] for n in written if n in quantizers and n not in unit.outputs]
            own = {n: weights[n].rounded(n) for node in nodes for n in node.input if n in weights}
            rounded = walk.rounded_unit(inner, own) if inner or own else None
            delete_files(own.values())
            walk.advance()
            units[unit.name] = walk.seen(rounded) if rounded else _UNSEEN
            progress("noise", len(tensors) + len(units), total)
        else:
            walk.advance()
        measure_tensors(unit.outputs)
    beyond = _tap_over_output([*tensors.values(), *units.values()])
    return NoiseProfile(
        model_sha256=model_hash(graph.model),
        runtime_version=ort.__version__,
        scheme=calibration.scheme.label,
        samples=len(samples),
        tensors=known
        or tuple(
            TensorNoise(name, power := seen.summable(beyond), _scaled(power, coarser[name]))
            for name, seen in tensors.items()
        ),
        units=tuple(UnitNoise(name, seen.summable(beyond)) for name, seen in units.items()),
    )


def scale_to_int16(tensors: Sequence[TensorNoise]) -> tuple[TensorNoise, ...]:
    """Return the noise of tensors with 16 bits, given that with 8: its power grows with the step's square.

    See Widrow and Kollar, "Quantization Noise" (2008), chapter 4: rounding adds a twelfth of that square.
    """
    return tuple(TensorNoise(row.tensor, row.power / STEPS**2, row.float16) for row in tensors)


def _scaled(power: float, error: float | None) -> float | None:
    return None if error is None else power * error


@dataclass(frozen=True, slots=True)
class _NoisePair:
    """Noise power of one source at the taps and at the outputs."""

    tap: float
    output: float

    def summable(self, beyond: float) -> float:
        """Return the power at the taps; for a source beyond them, what would give its power at the outputs.

        Parameters
        ----------
        beyond
            Power at the taps over that at the outputs.
        """
        return self.tap or self.output * beyond


_UNSEEN = _NoisePair(0.0, 0.0)


def _tap_over_output(sources: Iterable[_NoisePair]) -> float:
    ratios = [seen.tap / seen.output for seen in sources if seen.tap and seen.output]
    return float(np.median(ratios)) if ratios else 1.0


class _PrefixRunner:
    """Walks along the units with the tensors of every sample that the rest of the model still needs.

    So a change is seen at taps and outputs by running only what lies behind it.
    """

    def __init__(self, graph: ModelGraph, samples: Sequence[Feeds]) -> None:
        self._graph = graph
        self._library = Library(graph.model)
        self._taps, self._outputs = taps_of(graph), tuple(map(Tap, graph.outputs))
        self._ends = tuple(dict.fromkeys(tap.tensor for tap in (*self._taps, *self._outputs)))
        self._runtime = runtime_for(len(samples))
        whole = open_session(self._library.part(graph.inputs, self._ends), self._runtime)
        self._exact = list(run_samples(whole, samples))
        self._live: list[dict[str, Array]] = [dict(feeds) for feeds in samples]
        self._place = 0
        self._rest: ort.InferenceSession | None = None

    def advance(self) -> None:
        """Compute the next unit of every sample."""
        outputs = self._computed(self._next())
        self._place += 1
        self._rest = None
        needed = self._needed()
        for live, computed in zip(self._live, outputs, strict=True):
            live |= computed
            for name in live.keys() - needed:
                del live[name]

    def rounded_unit(
        self, quantizers: Sequence[TensorRounding], weights: Mapping[str, onnx.TensorProto]
    ) -> list[dict[str, Array]]:
        """Return the next unit's outputs when some of its inner tensors and weights are rounded."""
        return self._computed(with_rounded(self._next(), quantizers, weights))

    def seen_of_tensor(self, quantizer: TensorRounding) -> _NoisePair:
        """Return the noise of rounding a tensor that lies in front of the next unit."""
        name = quantizer.tensor
        exact = self._tensor(name)
        rounded = [quantizer.rounded(values) for values in exact]
        if all(np.array_equal(a, b) for a, b in zip(exact, rounded, strict=True)):
            return _UNSEEN
        return self.seen([{name: values} for values in rounded])

    def float16_error(self, quantizer: TensorRounding) -> float | None:
        """Return the squared error of a tensor as float16 over that of it quantized; None if it overflows.

        Noise behind it is in the same proportion, as far as either error is like noise.
        """
        half = quantized = 0.0
        for exact in self._tensor(quantizer.tensor):
            coded = as_float16(exact)
            if coded is None:
                return None
            half += float(np.square(coded - exact, dtype=np.float64).sum())
            quantized += float(np.square(quantizer.rounded(exact) - exact, dtype=np.float64).sum())
        return half / quantized if quantized else 0.0

    def _tensor(self, name: str) -> list[Array]:
        """Return a tensor that lies in front of the next unit, of every sample."""
        pairs = zip(self._live, self._exact, strict=True)
        return [live[name] if name in live else outputs[name] for live, outputs in pairs]

    def seen(self, changes: Sequence[dict[str, Array]]) -> _NoisePair:
        """Return the noise when the rest of the model runs with changed tensors."""
        written = {name for unit in self._graph.units[self._place :] for name in unit.outputs}
        behind = [name for name in self._ends if name in written]
        read = [name for name in self._live[0] if name in self._needed()]
        if behind and self._rest is None:
            self._rest = open_session(self._library.part(read, behind), self._runtime)

        pairs = zip(self._live, changes, strict=True)
        feeds = [{name: change.get(name, live[name]) for name in read} for live, change in pairs]
        computed = run_samples(self._rest, feeds) if self._rest else [{} for _ in feeds]
        found = [
            exact | {name: values for name, values in change.items() if name in exact} | seen
            for exact, change, seen in zip(self._exact, changes, computed, strict=True)
        ]
        return _NoisePair(self._power(found, self._taps), self._power(found, self._outputs))

    def _power(self, found: Sequence[dict[str, Array]], taps: Sequence[Tap]) -> float:
        got, exact = (
            [{tap.tensor: tap.seen(one[tap.tensor]) for tap in taps} for one in rows]
            for rows in (found, self._exact)
        )
        return noise_power(got, exact)

    def _needed(self) -> set[str]:
        return {name for unit in self._graph.units[self._place :] for name in unit.inputs}

    def _next(self) -> onnx.ModelProto:
        unit = self._graph.units[self._place]
        return self._library.part(unit.inputs, unit.outputs)

    def _computed(self, unit: onnx.ModelProto) -> list[dict[str, Array]]:
        """Return the outputs of the next unit for every sample."""
        read = self._graph.units[self._place].inputs
        feeds = ({name: live[name] for name in read} for live in self._live)
        return list(run_samples(open_session(unit, self._runtime), feeds))


def noise_power(outputs: Iterable[dict[str, Array]], reference: Iterable[dict[str, Array]]) -> float:
    """Return squared error over squared reference, all outputs and samples together.

    Its square root is `noise_relative_rms`. Zero error is 0, also where the reference is all zero.
    """
    error = signal = 0.0
    for got, want in zip(outputs, reference, strict=True):
        for difference, exact in output_errors(got, want):
            error += float(np.square(difference).sum())
            signal += float(np.square(exact).sum())
    if error == 0.0:
        return 0.0
    return error / signal if signal else float("inf")


def output_errors(
    outputs: Mapping[str, Array], reference: Mapping[str, Array]
) -> Iterator[tuple[Array, Array]]:
    """Yield (difference, exact values) of every float output; finite wherever `outputs` is right.

    Equal infinities differ by 0; a NaN or infinity on one side alone is an infinite error. If no
    output is float (class indices), each counts as a one-hot vector: a wrong one differs by sqrt(2).
    """
    floats = [name for name, exact in reference.items() if np.issubdtype(exact.dtype, np.floating)]
    for name in floats:
        got, exact = outputs[name].astype(np.float64), reference[name].astype(np.float64)
        same = (got == exact) | (np.isnan(got) & np.isnan(exact))
        with np.errstate(invalid="ignore"):
            difference = np.where(same, 0.0, got - exact)
        yield np.where(np.isnan(difference), np.inf, difference), np.where(np.isfinite(exact), exact, 0.0)
    for name in [] if floats else reference:
        wrong = outputs[name] != reference[name]
        yield np.where(wrong, np.sqrt(2.0), 0.0), np.ones(wrong.shape)
