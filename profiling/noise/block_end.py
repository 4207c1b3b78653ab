"""What single changes make of the tensors at a block's end, and what that makes of the outputs.

Errors add up to the end of a block as vectors. With random signs their sum has, in the mean, the power of all
of them behind the end, too: products of two errors cancel. So one run tells what lies behind makes of many.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from profiling.arrays import Array
from profiling.noise.noise_pair import NoiseGain, NoisePair, tensor_noise
from profiling.noise.noise_power import UNBOUNDED

PARTS = 3
"""Of a block: what is behind it makes more or less of errors, the farther in front of the end they begin."""


class BlockEnd:
    """Takes what changes in a block make at its end, one after another.

    Parameters
    ----------
    span
        The block's first unit, and the one behind its last.
    exact
        Of each sample: the tensors at which changes in the block are seen behind it.
    """

    def __init__(self, span: tuple[int, int], exact: Sequence[Mapping[str, Array]]) -> None:
        self._span, self.exact = span, exact
        self._sums = [_SignedSum(exact) for _ in range(PARTS)]
        self._taken: list[tuple[int, dict[str, float]]] = []  # of each change: its part, and noise of tensors
        self._random = np.random.default_rng(0)  # the same in every run

    def take(self, place: int, noisy: Sequence[Mapping[str, Array]]) -> None:
        """Take one change.

        Parameters
        ----------
        place
            How many units lie in front of the first that it changes.
        noisy
            Of each sample: the tensors at the block's end, those that do not change as in `exact`.
        """
        start, end = self._span
        part = min(PARTS - 1, (place - start) * PARTS // (end - start))
        changed = [
            name
            for name, values in self.exact[0].items()
            if np.issubdtype(values.dtype, np.floating) and noisy[0][name] is not values
        ]
        self._taken.append((part, {name: tensor_noise(name, noisy, self.exact) for name in changed}))
        sign = self._random.choice([-1.0, 1.0])
        # Of different sizes, since equal errors, as of a tensor and its reshaped copy, could cancel.
        self._sums[part].add(changed, noisy, np.float32(sign * self._random.uniform(0.5, 1.5)))

    def noise(self, behind: Callable[[Sequence[Mapping[str, Array]]], NoisePair]) -> list[NoisePair]:
        """Return the noise of every change at taps and outputs, in the order in which they were taken.

        It is that through each tensor at the end, summed.

        Parameters
        ----------
        behind
            Runs what lies behind the end with changed tensors.
        """
        gains = [signed.gains(behind) for signed in self._sums]
        return [_through(powers, gains[part]) for part, powers in self._taken]


class _SignedSum:
    """The errors at the end of changes that begin in one part of a block, each times a random factor."""

    def __init__(self, exact: Sequence[Mapping[str, Array]]) -> None:
        self._exact = exact
        self._sums: list[dict[str, Array]] = [{} for _ in exact]
        self._count = 0

    def add(self, names: Sequence[str], noisy: Sequence[Mapping[str, Array]], factor: np.float32) -> None:
        """Add the errors of one change in some tensors, but for those that are no number."""
        found = {
            name: [_error(row[name], exact[name]) for row, exact in zip(noisy, self._exact, strict=True)]
            for name in names
        }
        usable = {name: errors for name, errors in found.items() if all(np.isfinite(e).all() for e in errors)}
        self._count += any(error.any() for errors in usable.values() for error in errors)
        for name, errors in usable.items():
            for sums, error in zip(self._sums, errors, strict=True):
                sums[name] = sums.get(name, np.float32(0)) + factor * error

    def gains(self, behind: Callable[[Sequence[Mapping[str, Array]]], NoisePair]) -> dict[str, NoiseGain]:
        """Return for each tensor how much noise at the ends goes with the noise that it has."""
        gains = {}
        for name in self._sums[0]:
            # As large as one error in the mean: noise saturates, and together they would show less of it.
            size = np.float32(max(1, self._count) ** -0.5)
            pairs = zip(self._exact, self._sums, strict=True)
            change = [
                {name: (exact[name] + size * sums[name]).astype(exact[name].dtype)} for exact, sums in pairs
            ]
            gains[name] = NoiseGain.between(tensor_noise(name, change, self._exact), behind(change))
        return gains


def _error(noisy: Array, exact: Array) -> Array:
    """Return the difference: none between equal infinities, NaN where shapes differ."""
    if noisy.shape != exact.shape:
        return np.full(1, np.nan, np.float32)
    with np.errstate(invalid="ignore"):  # the difference of two infinities
        return np.where(noisy == exact, np.float32(0), noisy - exact)


def _through(powers: Mapping[str, float], gains: Mapping[str, NoiseGain]) -> NoisePair:
    tap = output = 0.0
    for name, power in powers.items():
        gain = gains.get(name, NoiseGain())
        tap += power * gain.tap if power and gain.tap else 0.0
        output += power * gain.output if power and gain.output else 0.0
    return NoisePair(min(tap, UNBOUNDED), min(output, UNBOUNDED))
