"""Runs what lies behind a change of a `.tflite` model, sample by sample, and takes the noise at its end."""

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from profiling.arrays import Array, Feeds
from profiling.litert.cut import cut_out, whole_stage
from profiling.litert.interpreter import StageRunner
from profiling.litert.noise.tap_tensors import taps_of
from profiling.litert.unit_graph import LitertGraph
from profiling.noise.noise_pair import NO_NOISE, NoiseEnds, NoisePair
from profiling.noise.noise_taps import Tap


class LitertSuffixRunner:
    """Walks along the units with the tensors of every sample that the rest of the model still needs.

    One interpreter runs what lies behind all changes between two units.
    """

    def __init__(self, graph: LitertGraph, samples: Sequence[Feeds]) -> None:
        self._graph = graph
        model = graph.model
        self._ends = NoiseEnds(taps_of(graph), tuple(map(Tap, graph.outputs)))
        numbers = {name: tensor for tensor, name in enumerate(model.names)}
        self._end_tensors = [numbers[name] for name in self._ends.tensors]
        whole = StageRunner(whole_stage(model, self._end_tensors).content)
        fixed = {model.names[t]: model.constant(t) for t in self._end_tensors if model.is_constant(t)}
        self._exact = [
            fixed | {name: feeds[name] for name in self._ends.tensors if name in feeds} | whole(feeds)
            for feeds in samples
        ]
        self._live: list[dict[str, Array]] = [dict(feeds) for feeds in samples]
        self._read: list[dict[str, Array]] = []
        self._position = 0
        self._unit: StageRunner | None = None
        self._rest: StageRunner | None = None

    def advance(self) -> None:
        """Compute the next unit of every sample."""
        unit = self._graph.units[self._position]
        others = [n for u, numbers in enumerate(self._graph.operators) if u != unit.index for n in numbers]
        model, operators = self._graph.model, self._graph.operators[unit.index]
        runner = self._unit = StageRunner(cut_out(model, operators, others, self._graph.shared).content)
        self._read = [{name: live[name] for name in unit.inputs} for live in self._live]
        self._position += 1
        self._rest = None  # it was for the units behind the previous position
        needed = self._needed() | set(unit.outputs)
        for live, read in zip(self._live, self._read, strict=True):
            live |= runner(read)
            for name in live.keys() - needed:
                del live[name]

    def tensor(self, name: str) -> list[Array]:
        """Return a tensor that was fed or that the last unit wrote, of every sample."""
        return [live[name] for live in self._live]

    def tensor_noise(self, name: str, rounded: Callable[[Array], Array]) -> NoisePair:
        """Return the noise of rounding a tensor that was fed or that the last unit wrote."""
        return self._noise_of({name: rounded(exact)} for exact in self.tensor(name))

    def unit_noise(self, unit: Callable[[Feeds], dict[str, Array]]) -> NoisePair:
        """Return the noise of computing the last unit in another way.

        Parameters
        ----------
        unit
            Exact inputs of one sample to other outputs, by name.
        """
        return self._noise_of(map(unit, self._read))

    def read_noise(self, name: str, rounded: Callable[[Array], Array]) -> NoisePair:
        """Return the noise when only the last unit reads a tensor rounded."""
        unit = self._unit
        if unit is None:
            return NO_NOISE
        return self._noise_of(unit({**read, name: rounded(read[name])}) for read in self._read)

    def _noise_of(self, changes: Iterable[dict[str, Array]]) -> NoisePair:
        """Return the noise when the rest of the model runs with changed tensors."""
        noisy: list[Mapping[str, Array]] = []
        is_same = True
        for exact, live, change in zip(self._exact, self._live, changes, strict=True):
            same = all(np.array_equal(live[name], values) for name, values in change.items())
            is_same = is_same and same
            behind = {} if same else self._computed({**live, **change})
            noisy.append(exact | {name: v for name, v in change.items() if name in exact} | behind)
        return NO_NOISE if is_same else self._ends.noise(noisy, self._exact)

    def _computed(self, tensors: Feeds) -> dict[str, Array]:
        """Return the ends that lie behind the position."""
        if self._rest is None:  # one interpreter for every change between two units
            model, operators = self._graph.model, self._graph.operators
            parts = (operators[self._position :], operators[: self._position])
            behind, before = ([n for numbers in part for n in numbers] for part in parts)
            stage = cut_out(model, behind, before, self._graph.shared, self._end_tensors)
            if not stage.outputs:
                return {}
            self._rest = StageRunner(stage.content)
        return self._rest(tensors)

    def _needed(self) -> set[str]:
        return {name for unit in self._graph.units[self._position :] for name in unit.inputs}
