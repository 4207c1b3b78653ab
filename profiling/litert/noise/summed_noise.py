"""Noise of a model with units in modes, as the sum over what makes it."""

from collections.abc import Iterator, Mapping, Sequence

from profiling.litert.modes import FP32, Mode
from profiling.litert.unit_graph import LitertGraph
from profiling.records.profile import NoiseProfile


def summed_noise(graph: LitertGraph, modes: Sequence[Mode], profiles: Mapping[Mode, NoiseProfile]) -> float:
    """Return the noise power of a model whose units are in modes, if noise of all sources adds up.

    Each unit in a mode counts once. A tensor that its unit writes in integers counts once, and a reader in
    fewer bits adds to it. One that is written in float counts for each unit that reads it in integers, or
    once if all do so.

    Parameters
    ----------
    modes
        What each unit computes in.
    profiles
        By `measure_litert_noise`, of all those modes but float.
    """
    rows = _Rows(graph, profiles)
    units = sum(
        rows.units[mode, unit.name] for unit, mode in zip(graph.units, modes, strict=True) if mode is not FP32
    )
    return units + sum(power for name in graph.tensors for power in rows.of_tensor(name, modes))


class _Rows:
    """A model's noise, to be looked up."""

    def __init__(self, graph: LitertGraph, profiles: Mapping[Mode, NoiseProfile]) -> None:
        self._graph = graph
        self._writers = {name: unit.index for unit in graph.units for name in unit.outputs}
        found = profiles.items()
        self.units = {(mode, row.unit): row.power for mode, one in found for row in one.units}
        self._tensors = {(mode, row.tensor): row.power for mode, one in found for row in one.tensors}
        self._written = {
            (mode, row.tensor): row.power if row.written is None else row.written
            for mode, one in found
            for row in one.tensors
        }
        self._reads = {(mode, row.tensor, row.unit): row.power for mode, one in found for row in one.reads}

    def of_tensor(self, name: str, modes: Sequence[Mode]) -> Iterator[float]:
        """Yield the noise of a tensor where it is written and where it is read."""
        writer = self._writers.get(name)
        written = FP32 if writer is None else modes[writer]
        if (written, name) in self._tensors:
            yield self._written[written, name]
        readers = {unit.name: modes[unit.index] for unit in self._graph.units if name in unit.inputs}
        coarser = {
            unit: mode
            for unit, mode in readers.items()
            if (mode, name) in self._tensors and mode.activation_bits < written.activation_bits
        }
        if len(coarser) > 1 and self._is_read_alike(name, readers, coarser):
            yield self._tensors[next(iter(coarser.values())), name]
        else:
            for unit, mode in coarser.items():
                yield self._reads.get((mode, name, unit), self._tensors[mode, name])

    def _is_read_alike(self, name: str, readers: Mapping[str, Mode], coarser: Mapping[str, Mode]) -> bool:
        """Whether all that reads a tensor rounds it in the same way, so that errors are equal."""
        return (
            len(coarser) == len(readers)
            and len(set(coarser.values())) == 1
            and name not in self._graph.outputs
        )
