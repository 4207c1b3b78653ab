"""Runs what lies behind a change of a model, sample by sample, and takes the noise at its end."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import onnx
import onnxruntime as ort

from profiling.arrays import Array, Feeds
from profiling.graph.unit_graph import ModelGraph
from profiling.noise.float16_noise import float16_error
from profiling.noise.noise_pair import NO_NOISE, NoiseEnds, NoisePair
from profiling.noise.noise_taps import Tap, taps_of
from profiling.onnx_io.extract import SubmodelExtractor
from profiling.quantization.fake_quantization import TensorRounding, with_rounded
from profiling.runtime.open_session import open_session, run_samples, runtime_for


class SuffixRunner:
    """Walks along the units with the tensors of every sample that the rest of the model still needs.

    So a change is seen at taps and outputs by running only what lies behind it.
    """

    def __init__(self, graph: ModelGraph, samples: Sequence[Feeds]) -> None:
        self._graph = graph
        self._extractor = SubmodelExtractor(graph.model)
        self._ends = NoiseEnds(taps_of(graph), tuple(map(Tap, graph.outputs)))
        self._runtime = runtime_for(len(samples))
        whole = open_session(self._extractor.extract(graph.inputs, self._ends.tensors), self._runtime)
        self._exact = list(run_samples(whole, samples))
        self._live: list[dict[str, Array]] = [dict(feeds) for feeds in samples]
        self._position = 0
        self._rest: ort.InferenceSession | None = None

    def advance(self) -> None:
        """Compute the next unit of every sample."""
        outputs = self._computed(self._next())
        self._position += 1
        self._rest = None  # it was for the units behind the previous position
        needed = self._needed()
        for live, computed in zip(self._live, outputs, strict=True):
            live |= computed
            for name in live.keys() - needed:
                del live[name]

    def outputs_of_rounded_unit(
        self, quantizers: Sequence[TensorRounding], weights: Mapping[str, onnx.TensorProto]
    ) -> list[dict[str, Array]]:
        """Return the next unit's outputs when some of its inner tensors and weights are rounded."""
        return self._computed(with_rounded(self._next(), quantizers, weights))

    def outputs_of_changed_unit(
        self, change: Callable[[onnx.ModelProto], onnx.ModelProto]
    ) -> list[dict[str, Array]]:
        """Return the next unit's outputs as another model computes them, which is made of its own."""
        return self._computed(change(self._next()))

    def tensor_noise(self, quantizer: TensorRounding) -> NoisePair:
        """Return the noise of rounding a tensor that lies in front of the next unit."""
        name = quantizer.tensor
        exact = self._tensor(name)
        rounded = [quantizer.rounded(values) for values in exact]
        if all(np.array_equal(a, b) for a, b in zip(exact, rounded, strict=True)):  # no need to run anything
            return NO_NOISE
        return self.noise_of([{name: values} for values in rounded])

    def float16_error(self, quantizer: TensorRounding) -> float | None:
        """Return the squared error of a tensor as float16 over that of it quantized; None if it overflows."""
        return float16_error(self._tensor(quantizer.tensor), quantizer.rounded)

    def _tensor(self, name: str) -> list[Array]:
        """Return a tensor that lies in front of the next unit, of every sample."""
        pairs = zip(self._live, self._exact, strict=True)
        return [live[name] if name in live else outputs[name] for live, outputs in pairs]

    def noise_of(self, changes: Sequence[dict[str, Array]]) -> NoisePair:
        """Return the noise when the rest of the model runs with changed tensors."""
        written = {name for unit in self._graph.units[self._position :] for name in unit.outputs}
        behind = [name for name in self._ends.tensors if name in written]
        read = [name for name in self._live[0] if name in self._needed()]
        if behind and self._rest is None:  # one session for every change between two units
            self._rest = open_session(self._extractor.extract(read, behind), self._runtime)

        pairs = zip(self._live, changes, strict=True)
        feeds = [{name: change.get(name, live[name]) for name in read} for live, change in pairs]
        computed = run_samples(self._rest, feeds) if self._rest else [{} for _ in feeds]
        noisy = [
            exact | {name: values for name, values in change.items() if name in exact} | rest
            for exact, change, rest in zip(self._exact, changes, computed, strict=True)
        ]
        return self._ends.noise(noisy, self._exact)

    def _needed(self) -> set[str]:
        return {name for unit in self._graph.units[self._position :] for name in unit.inputs}

    def _next(self) -> onnx.ModelProto:
        unit = self._graph.units[self._position]
        return self._extractor.extract(unit.inputs, unit.outputs)

    def _computed(self, unit: onnx.ModelProto) -> list[dict[str, Array]]:
        """Return the outputs of the next unit for every sample."""
        read = self._graph.units[self._position].inputs
        feeds = ({name: live[name] for name in read} for live in self._live)
        return list(run_samples(open_session(unit, self._runtime), feeds))
