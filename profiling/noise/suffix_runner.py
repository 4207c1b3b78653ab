"""Runs what lies behind a change of a model, sample by sample, and takes the noise at its end."""

from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np
import onnx
import onnxruntime as ort

from profiling.arrays import Array, Feeds
from profiling.graph.unit_graph import ModelGraph
from profiling.noise.float16_noise import float16_error
from profiling.noise.noise_pair import NO_NOISE, CutEnds, NoiseEnds, NoiseGain, NoisePair, tensor_noise
from profiling.noise.noise_taps import Tap, taps_of
from profiling.onnx_io.extract import SubmodelExtractor
from profiling.quantization.fake_quantization import TensorRounding, with_rounded
from profiling.runtime.open_session import Runtime, open_session, run_samples, runtime_for

Tensors = list[dict[str, Array]]  # of each sample


class _Stretch:
    """Consecutive units, and the tensors at which a change in front of them is seen.

    Parameters
    ----------
    span
        The first unit, and the one behind the last.
    exact
        Of each sample: the tensors of `ends`.
    """

    def __init__(
        self, model: "_CutModel", span: tuple[int, int], ends: NoiseEnds | CutEnds, exact: Tensors
    ) -> None:
        self._model, self._span, self._ends, self._exact = model, span, ends, exact

    @cached_property
    def _read(self) -> list[str]:
        return sorted(self._model.read_from_before(*self._span))

    @cached_property
    def _session(self) -> ort.InferenceSession | None:  # one for every change in front of the same unit
        return self._model.session(self._read, self._model.written(*self._span, self._ends.tensors))

    def noise_of(self, live: Tensors, changes: Sequence[Mapping[str, Array]]) -> NoisePair:
        """Return the noise when the units run with changed tensors."""
        pairs = zip(live, changes, strict=True)
        feeds = [{name: change.get(name, tensors[name]) for name in self._read} for tensors, change in pairs]
        computed = run_samples(self._session, feeds) if self._session else [{} for _ in feeds]
        noisy = [
            exact | {name: values for name, values in change.items() if name in exact} | behind
            for exact, change, behind in zip(self._exact, changes, computed, strict=True)
        ]
        return self._ends.noise(noisy, self._exact)


class _CutModel:
    """The model, cut anywhere between its units."""

    def __init__(self, graph: ModelGraph, runtime: Runtime) -> None:
        self.units = graph.units
        self.extractor = SubmodelExtractor(graph.model)
        self._runtime = runtime

    def needed_from(self, position: int) -> set[str]:
        """Return what units from a position on read."""
        return {name for unit in self.units[position:] for name in unit.inputs}

    def read_from_before(self, first: int, end: int) -> set[str]:
        """Return what some units read of what others write, or of the inputs."""
        read = {name for unit in self.units[first:end] for name in unit.inputs}
        return read.difference(*(unit.outputs for unit in self.units[first:end]))

    def written(self, first: int, end: int, names: Sequence[str]) -> list[str]:
        """Return which of some tensors units write."""
        written = {name for unit in self.units[first:end] for name in unit.outputs}
        return [name for name in names if name in written]

    def session(self, inputs: Sequence[str], outputs: Sequence[str]) -> ort.InferenceSession | None:
        """Return what computes some tensors from others; None if there are none to compute."""
        return open_session(self.extractor.extract(inputs, outputs), self._runtime) if outputs else None

    def computed(self, model: onnx.ModelProto, live: Sequence[Mapping[str, Array]]) -> Tensors:
        """Return the outputs of a part for every sample."""
        read = [value.name for value in model.graph.input]
        feeds = ({name: tensors[name] for name in read} for tensors in live)
        return list(run_samples(open_session(model, self._runtime), feeds))


class SuffixRunner:
    """Walks along the units with the tensors of every sample that the rest of the model still needs.

    So a change is seen at taps and outputs by running only what lies behind it. Within a block that ends
    before the model does, only the block is run: a change shows at its end, and counts there by how much of
    the noise at taps and outputs all changes of the block make.
    """

    def __init__(self, graph: ModelGraph, samples: Sequence[Feeds]) -> None:
        self._model = _CutModel(graph, runtime_for(len(samples)))
        self._whole_ends = NoiseEnds(taps_of(graph), tuple(map(Tap, graph.outputs)))
        session = self._model.session(graph.inputs, self._whole_ends.tensors)
        self._whole_exact: Tensors = list(run_samples(session, samples)) if session else [{} for _ in samples]
        self._live: Tensors = [dict(feeds) for feeds in samples]
        self._position = 0
        self._block_end = len(graph.units)
        self._ends: NoiseEnds | CutEnds = self._whole_ends
        self._exact = self._whole_exact
        self._rest = self._stretch()

    def begin_block(
        self, end: int, quantizers: Sequence[TensorRounding], weights: Mapping[str, onnx.TensorProto]
    ) -> None:
        """Follow changes from the next unit on to the end of a block only.

        Parameters
        ----------
        end
            How many units lie in front of the block's end: fewer than all.
        quantizers, weights
            All roundings of the block, inputs of the model that are rounded in front of it included.
        """
        self._block_end = end
        self._exact = self._exact_at(end)
        self._ends = CutEnds(self._gains(self._rounded_block(quantizers, weights)))
        self._rest = self._stretch()

    def begin_last_block(self) -> None:
        """Follow changes from the next unit on to taps and outputs, as from the start."""
        self._block_end = len(self._model.units)
        self._ends, self._exact = self._whole_ends, self._whole_exact
        self._rest = self._stretch()

    def advance(self) -> None:
        """Compute the next unit of every sample."""
        outputs = self._model.computed(self._next(), self._live)
        self._position += 1
        self._rest = self._stretch()
        needed = self._model.needed_from(self._position)
        for live, computed in zip(self._live, outputs, strict=True):
            live |= computed
            for name in live.keys() - needed:
                del live[name]

    def outputs_of_rounded_unit(
        self, quantizers: Sequence[TensorRounding], weights: Mapping[str, onnx.TensorProto]
    ) -> Tensors:
        """Return the next unit's outputs when some of its inner tensors and weights are rounded."""
        return self._model.computed(with_rounded(self._next(), quantizers, weights), self._live)

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

    def noise_of(self, changes: Sequence[dict[str, Array]]) -> NoisePair:
        """Return the noise when the rest of the model runs with changed tensors."""
        return self._rest.noise_of(self._live, changes)

    def _tensor(self, name: str) -> list[Array]:
        """Return a tensor that lies in front of the next unit, of every sample."""
        pairs = zip(self._live, self._exact, strict=True)
        return [live[name] if name in live else outputs[name] for live, outputs in pairs]

    def _stretch(self) -> _Stretch:
        return _Stretch(self._model, (self._position, self._block_end), self._ends, self._exact)

    def _seen_behind(self, end: int) -> tuple[str, ...]:
        """Return the tensors at which changes in front of a position are seen behind it."""
        seen = self._model.needed_from(end) | set(self._whole_ends.tensors)
        return tuple(sorted(seen.difference(*(unit.outputs for unit in self._model.units[end:]))))

    def _exact_at(self, end: int) -> Tensors:
        """Return the tensors at the end of a block."""
        seen = self._seen_behind(end)
        names, read = self._model.written(self._position, end, seen), self._read_by_block()
        computed = self._model.computed(self._model.extractor.extract(read, names), self._live)
        before = zip(self._live, self._whole_exact, computed, strict=True)
        return [
            {n: v for n, v in (outputs | live).items() if n in seen} | new for live, outputs, new in before
        ]

    def _rounded_block(
        self, quantizers: Sequence[TensorRounding], weights: Mapping[str, onnx.TensorProto]
    ) -> Tensors:
        """Return the tensors at the end of the block that all of its roundings together change."""
        inputs = {q.tensor: q for q in quantizers if q.tensor not in self._model.extractor.writer}
        inner = [quantizer for quantizer in quantizers if quantizer.tensor not in inputs]
        names = self._model.written(self._position, self._block_end, tuple(self._exact[0]))
        part = self._model.extractor.extract(self._read_by_block(), names)
        fed = [live | {name: q.rounded(live[name]) for name, q in inputs.items()} for live in self._live]
        changes = self._model.computed(with_rounded(part, inner, weights), fed)
        crossing = [name for name in inputs if name in self._exact[0]]
        return [{name: live[name] for name in crossing} | new for live, new in zip(fed, changes, strict=True)]

    def _gains(self, changes: Tensors) -> dict[str, NoiseGain]:
        """Return how much noise at the ends goes with that of each changed tensor at the end of the block."""
        span = self._block_end, len(self._model.units)
        behind = _Stretch(self._model, span, self._whole_ends, self._whole_exact)
        gains = {}
        for name, values in changes[0].items():
            if np.issubdtype(values.dtype, np.floating):
                change = [{name: tensors[name]} for tensors in changes]
                before = tensor_noise(name, change, self._exact)
                gains[name] = NoiseGain.between(before, behind.noise_of(self._exact, change))
        return gains

    def _read_by_block(self) -> list[str]:
        return sorted(self._model.read_from_before(self._position, self._block_end))

    def _next(self) -> onnx.ModelProto:
        unit = self._model.units[self._position]
        return self._model.extractor.extract(unit.inputs, unit.outputs)
