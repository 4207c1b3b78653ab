"""Where the noise of all such samples may lie, from drawing the measured samples again and again."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

import numpy as np

from profiling.arrays import Array
from profiling.noise.noise_power import UNBOUNDED

LEVELS = (0.001, 0.005, 0.01, 0.025, *(n / 20 for n in range(1, 20)), 0.975, 0.99, 0.995, 0.999)
"""With which certainty the noise of all such samples is at most each of a plan's `noise_quantiles`."""

_FEWEST = 4  # samples; fewer say nothing of how they spread
_DRAWS, _FEWEST_DRAWS = 2000, 400
_WORK = 2e7  # samples in all draws: a second; of very many samples fewer draws are enough
_SEED = 0  # the same samples give the same certainty
_ELEMENTS = 2**22  # of counts that are held at once: 32 MiB
_FAR = 50.0  # standard errors


def noise_quantiles(powers: Array) -> tuple[float, ...]:
    """Return the relative RMS noise that is kept with the certainty of each of `LEVELS`.

    By the bootstrap with studentized draws (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993,
    chapter 12): the error of a draw's logarithm, over its own standard error. Draws of few samples, some of
    which make most of the noise, are too even; studentized, they say so. Empty where the samples say nothing:
    fewer than four, without noise, or with infinite noise.

    Parameters
    ----------
    powers
        Shape [samples, 2]: squared error and squared exact answer.
    """
    error, signal = powers.sum(axis=0)
    if len(powers) < _FEWEST or not (0 < error < np.inf and 0 < signal < np.inf):
        return ()
    power, spread = _logarithms(powers.mean(axis=0), _moments(powers), len(powers))
    draws = np.sort(_studentized(powers, float(power)))
    at = np.quantile(draws, 1 - np.array(LEVELS))
    most = np.log(UNBOUNDED) / 2  # few samples that say next to nothing allow any noise
    return tuple(np.exp(np.minimum((power - at * spread) / 2, most)).tolist())


def noise_at_most(limit: float, quantiles: Sequence[float]) -> float:
    """Return with which certainty the noise is at most a limit, between the first level and the last.

    Examples
    --------
    >>> quantiles = [0.01 + level / 100 for level in LEVELS]
    >>> noise_at_most(0.015, quantiles), noise_at_most(0.5, quantiles), noise_at_most(0.001, quantiles)
    (0.5, 0.999, 0.0)
    """
    first, last = bisect_left(quantiles, limit), bisect_right(quantiles, limit)
    if not first:
        return 0.0 if limit < quantiles[0] else LEVELS[0]
    if last == len(quantiles):
        return LEVELS[-1]
    return round(float(np.interp(limit, quantiles, LEVELS)), 12)


def _studentized(powers: Array, power: float) -> Array:
    """Return how many of its standard errors each draw's noise is from that of all samples."""
    random, count = np.random.default_rng(_SEED), len(powers)
    columns = np.column_stack([powers, powers[:, 0] ** 2, powers[:, 0] * powers[:, 1], powers[:, 1] ** 2])
    step = max(1, _ELEMENTS // count)
    draws = min(_DRAWS, max(_FEWEST_DRAWS, int(_WORK / count)))
    means = np.concatenate(
        [
            random.multinomial(count, np.full(count, 1 / count), min(step, draws - start)) @ columns / count
            for start in range(0, draws, step)
        ]
    )
    drawn = means[means[:, 0] > 0]
    logarithms, spreads = _logarithms(drawn[:, :2].T, drawn[:, 2:].T, count)
    # Draws of one sample again and again spread by nothing: as far off as can be.
    with np.errstate(divide="ignore", invalid="ignore"):
        found = (logarithms - power) / spreads
    return np.nan_to_num(found, nan=0.0, posinf=_FAR, neginf=-_FAR)


def _moments(powers: Array) -> Array:
    error, signal = powers.T
    return np.array([np.mean(error**2), np.mean(error * signal), np.mean(signal**2)])


def _logarithms(means: Array, moments: Array, count: int) -> tuple[Array, Array]:
    """Return the logarithm of noise power, and its standard error as that of a ratio of sums.

    Parameters
    ----------
    means
        Mean squared error and exact answer.
    moments
        Means of their square, product, and square.
    """
    power = means[0] / means[1]
    squares = np.maximum(moments[0] - 2 * power * moments[1] + power**2 * moments[2], 0.0)
    return np.log(power), np.sqrt(squares / (count - 1)) / means[0]
