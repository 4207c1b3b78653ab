"""Runs what lies behind a change of a model, sample by sample, and takes the noise at its end."""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property

import numpy as np
import onnx
import onnxruntime as ort

from profiling.arrays import Array, Feeds
from profiling.graph.unit_graph import ModelGraph
from profiling.noise.block_end import BlockEnd
from profiling.noise.float16_noise import float16_error
from profiling.noise.noise_pair import NoiseEnds, NoisePair
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
        Of each sample: those tensors.
    """

    def __init__(self, model: "_CutModel", span: tuple[int, int], exact: Tensors) -> None:
        self._model, self._span, self._exact = model, span, exact

    @cached_property
    def _read(self) -> list[str]:
        return sorted(self._model.read_from_before(*self._span))

    @cached_property
    def _session(self) -> ort.InferenceSession | None:  # one for every change in front of the same unit
        return self._model.session(self._read, self._model.written(*self._span, tuple(self._exact[0])))

    def followed(
        self, live: Sequence[Mapping[str, Array]], changes: Sequence[Mapping[str, Array]]
    ) -> Tensors:
        """Return the tensors when the units run with some changed; what does not change is as in `exact`."""
        pairs = zip(live, changes, strict=True)
        feeds = [{name: change.get(name, tensors[name]) for name in self._read} for tensors, change in pairs]
        computed = run_samples(self._session, feeds) if self._session else [{} for _ in feeds]
        return [
            exact | {name: values for name, values in change.items() if name in exact} | behind
            for exact, change, behind in zip(self._exact, changes, computed, strict=True)
        ]


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
    before the model does, only the block is run.
    """

    def __init__(self, graph: ModelGraph, samples: Sequence[Feeds]) -> None:
        self._model = _CutModel(graph, runtime_for(len(samples)))
        self._whole_ends = NoiseEnds(taps_of(graph), tuple(map(Tap, graph.outputs)))
        session = self._model.session(graph.inputs, self._whole_ends.tensors)
        self._whole_exact: Tensors = list(run_samples(session, samples)) if session else [{} for _ in samples]
        self._live: Tensors = [dict(feeds) for feeds in samples]
        self._position = 0
        self._end = len(graph.units)
        self._exact = self._whole_exact
        self._rest = self._stretch()

    def begin_block(self, end: int) -> BlockEnd:
        """Follow changes from the next unit on to the end of a block only.

        Parameters
        ----------
        end
            How many units lie in front of the block's end: fewer than all.
        """
        self._exact, self._end = self._exact_at(end), end
        self._rest = self._stretch()
        return BlockEnd((self._position, end), self._exact)

    def begin_last_block(self) -> None:
        """Follow changes from the next unit on to taps and outputs, as from the start."""
        self._exact, self._end = self._whole_exact, len(self._model.units)
        self._rest = self._stretch()

    def noise_behind(self, block: BlockEnd) -> list[NoisePair]:
        """Return the noise at taps and outputs of changes in a block that has been walked through."""
        behind = _Stretch(self._model, (self._position, len(self._model.units)), self._whole_exact)

        def run(changes: Sequence[Mapping[str, Array]]) -> NoisePair:
            return self._whole_ends.noise(behind.followed(block.exact, changes), self._whole_exact)

        return block.noise(run)

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

    def outputs_of_changed_unit(self, change: Callable[[onnx.ModelProto], onnx.ModelProto]) -> Tensors:
        """Return the next unit's outputs as another model computes them, which is made of its own."""
        return self._model.computed(change(self._next()), self._live)

    def rounded_tensor(self, quantizer: TensorRounding) -> Tensors | None:
        """Return a tensor that lies in front of the next unit, rounded; None if that changes nothing."""
        name = quantizer.tensor
        exact = self._tensor(name)
        rounded = [quantizer.rounded(values) for values in exact]
        if all(np.array_equal(a, b) for a, b in zip(exact, rounded, strict=True)):  # no need to run anything
            return None
        return [{name: values} for values in rounded]

    def float16_error(self, quantizer: TensorRounding) -> float | None:
        """Return the squared error of a tensor as float16 over that of it quantized; None if it overflows."""
        return float16_error(self._tensor(quantizer.tensor), quantizer.rounded)

    def followed(self, changes: Sequence[Mapping[str, Array]]) -> Tensors:
        """Return the tensors at the end of the block when the rest of it runs with some changed."""
        return self._rest.followed(self._live, changes)

    def noise_of(self, changes: Sequence[Mapping[str, Array]]) -> NoisePair:
        """Return the noise when the rest of the model runs with changed tensors, in the last block."""
        return self._whole_ends.noise(self.followed(changes), self._whole_exact)

    def _tensor(self, name: str) -> list[Array]:
        """Return a tensor that lies in front of the next unit, of every sample."""
        pairs = zip(self._live, self._exact, strict=True)
        return [live[name] if name in live else outputs[name] for live, outputs in pairs]

    def _stretch(self) -> _Stretch:
        return _Stretch(self._model, (self._position, self._end), self._exact)

    def _seen_behind(self, end: int) -> tuple[str, ...]:
        """Return the tensors at which changes in front of a position are seen behind it."""
        seen = self._model.needed_from(end) | set(self._whole_ends.tensors)
        return tuple(sorted(seen.difference(*(unit.outputs for unit in self._model.units[end:]))))

    def _exact_at(self, end: int) -> Tensors:
        """Return the tensors at the end of a block."""
        seen = self._seen_behind(end)
        names = self._model.written(self._position, end, seen)
        read = sorted(self._model.read_from_before(self._position, end))
        computed = self._model.computed(self._model.extractor.extract(read, names), self._live)
        before = zip(self._live, self._whole_exact, computed, strict=True)
        return [
            {n: v for n, v in (outputs | live).items() if n in seen} | new for live, outputs, new in before
        ]

    def _next(self) -> onnx.ModelProto:
        unit = self._model.units[self._position]
        return self._model.extractor.extract(unit.inputs, unit.outputs)
