"""Noise of one source, taken at the taps and at the outputs."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from profiling.arrays import Array
from profiling.noise.noise_power import noise_power, output_errors
from profiling.noise.noise_taps import Tap


@dataclass(frozen=True, slots=True)
class NoisePair:
    """Noise power of one source at the taps and at the outputs.

    Each is squared error over squared exact values.
    """

    tap: float
    output: float

    def summable(self, tap_over_output: float) -> float:
        """Return the power at the taps; for a source beyond them, what would give its power at the outputs.

        Parameters
        ----------
        tap_over_output
            Power at the taps over that at the outputs.

        Examples
        --------
        >>> NoisePair(0.5, 0.25).summable(8.0), NoisePair(0.0, 0.25).summable(8.0)
        (0.5, 2.0)
        """
        return self.tap or self.output * tap_over_output

    def less(self, other: "NoisePair") -> "NoisePair":
        """Return what is left beside another source's noise, 0 at least."""
        return NoisePair(max(0.0, self.tap - other.tap), max(0.0, self.output - other.output))


NO_NOISE = NoisePair(0.0, 0.0)


@dataclass(frozen=True, slots=True)
class NoiseEnds:
    """Where a model's noise is taken: its taps, and its outputs."""

    taps: tuple[Tap, ...]
    outputs: tuple[Tap, ...]

    @property
    def tensors(self) -> tuple[str, ...]:
        """The names of all of them, each once."""
        return tuple(dict.fromkeys(tap.tensor for tap in (*self.taps, *self.outputs)))

    def noise(self, noisy: Sequence[Mapping[str, Array]], exact: Sequence[Mapping[str, Array]]) -> NoisePair:
        """Return the noise of one source.

        Parameters
        ----------
        noisy, exact
            Of each sample: tensor -> values, at least for all `tensors`.
        """
        return NoisePair(_power(noisy, exact, self.taps), _power(noisy, exact, self.outputs))


@dataclass(frozen=True, slots=True)
class NoiseGain:
    """How much noise at the taps and at the outputs goes with noise of one in a tensor before them."""

    tap: float = 1.0
    output: float = 1.0

    @classmethod
    def between(cls, before: float, ends: NoisePair) -> "NoiseGain":
        """Return the gain by the noise that the same change makes in a tensor and at the ends.

        It is one where the change makes none in the tensor, or is no number.
        """
        if not 0 < before < np.inf or not np.isfinite([ends.tap, ends.output]).all():
            return cls()
        return cls(ends.tap / before, ends.output / before)


def tensor_noise(
    name: str, noisy: Sequence[Mapping[str, Array]], exact: Sequence[Mapping[str, Array]]
) -> float:
    """Return squared error over squared values of a tensor, all samples together.

    It is infinite where an error is, and the squared error itself where all values are zero.
    """
    error = signal = 0.0
    for actual, expected in zip(noisy, exact, strict=True):
        for difference, values in output_errors({name: actual[name]}, {name: expected[name]}):
            error += float(np.square(difference).sum())
            signal += float(np.square(values).sum())
    return error / (signal or 1.0)


def tap_over_output(sources: Iterable[NoisePair]) -> float:
    """Return how much larger noise is at the taps than at the outputs, in the median of all sources."""
    ratios = [noise.tap / noise.output for noise in sources if noise.tap and noise.output]
    # The median, since one picture in doubt can make the ratio of a single source many times the others'.
    return float(np.median(ratios)) if ratios else 1.0


def _power(
    noisy: Sequence[Mapping[str, Array]], exact: Sequence[Mapping[str, Array]], taps: Sequence[Tap]
) -> float:
    actual, expected = (
        [{tap.tensor: tap.effective(tensors[tap.tensor]) for tap in taps} for tensors in rows]
        for rows in (noisy, exact)
    )
    return noise_power(actual, expected)
