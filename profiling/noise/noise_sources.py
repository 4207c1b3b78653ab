"""Sources of noise: those that make most of it are worth more samples."""

from dataclasses import dataclass, replace

from profiling.records.profile import NoiseProfile, TensorNoise


@dataclass(frozen=True, slots=True)
class NoiseSources:
    """Tensors that are rounded, and units whose weights are, by name."""

    tensors: frozenset[str]
    units: frozenset[str]


def largest_sources(profile: NoiseProfile, count: int) -> NoiseSources:
    """Return the sources with most noise power, at most so many of them and none without noise."""
    powers = [(row.power, row.tensor, True) for row in profile.tensors]
    powers += ((row.power, row.unit, False) for row in profile.units)
    chosen = sorted((row for row in powers if row[0] > 0), reverse=True)[:count]
    tensors, units = (
        frozenset(n for _, n, is_tensor in chosen if is_tensor is kind) for kind in (True, False)
    )
    return NoiseSources(tensors, units)


def with_better(profile: NoiseProfile, better: NoiseProfile) -> NoiseProfile:
    """Return a profile with the rows that another one has, too, as those of the other."""
    tensors = {row.tensor: row for row in better.tensors}
    units = {row.unit: row for row in better.units}
    reads = {(row.tensor, row.unit): row for row in better.reads}
    return replace(
        profile,
        tensors=tuple(_with_written(tensors.get(row.tensor, row), row) for row in profile.tensors),
        units=tuple(units.get(row.unit, row) for row in profile.units),
        reads=tuple(reads.get((row.tensor, row.unit), row) for row in profile.reads),
    )


def _with_written(row: TensorNoise, first: TensorNoise) -> TensorNoise:
    """Return a row that says what is left where its unit is quantized, too, as the first one says."""
    if row.written is not None or first.written is None or not first.power:
        return row
    return replace(row, written=row.power * first.written / first.power)
