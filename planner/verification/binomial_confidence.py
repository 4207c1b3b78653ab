"""What counts among samples say of shares of all such samples: exact tails, and intervals from them.

Counts and numbers of samples may be fractions: those of more samples that show the same shares.
"""

from collections.abc import Callable
from math import exp, isnan, lgamma, log, sqrt

_LEVEL = 0.025  # what two-sided intervals of 95 % leave out at each end
_TERMS, _SMALLEST = 10_000, 1e-300  # of the continued fraction; it needs about the root of its parameters
_PRECISION = 1e-15
_HALVINGS = 40  # to 1e-12, of a certainty that is found through others to 1e-7
_COARSE = 24


def share_at_most(limit: float, count: float, samples: float) -> float:
    """Return with which certainty a share is at most a limit, of which `count` of `samples` were seen.

    It is the confidence of the one-sided interval by Clopper and Pearson (Biometrika 26, 1934) that ends at
    the limit: 1 minus the chance of so few, or fewer, at the limit. So it is never said too often, whatever
    the share.

    Examples
    --------
    >>> round(share_at_most(0.03, 0, 100), 4)  # 1 - 0.97^100
    0.9524
    """
    if limit >= 1:
        return 1.0
    return beta_distribution(limit, count + 1, samples - count) if limit > 0 and count < samples else 0.0


def share_above(limit: float, count: float, samples: float) -> float:
    """Return with which certainty a share is above a limit, likewise."""
    if count <= 0 or limit >= 1:
        return 0.0
    return 1 - beta_distribution(limit, count, samples - count + 1)


def share_bounds(count: float, samples: float, level: float = _LEVEL) -> tuple[float, float]:
    """Return the interval by Clopper and Pearson that leaves out at most `level` at each end.

    Examples
    --------
    >>> [round(end, 3) for end in share_bounds(3, 100)]
    [0.006, 0.085]
    """
    high = 1.0 if count >= samples else _where(lambda p: share_at_most(p, count, samples), 1 - level)
    low = 0.0 if count <= 0 else _where(lambda p: 1 - share_above(p, count, samples), level)
    return low, high


def difference_bound(up: float, down: float, samples: float, level: float) -> float:
    """Return below what p - q lies but for a chance of `level`; of the samples `up` are for p, `down` for q.

    From exact bounds of both shares, put together as Zou and Donner do (Statistics in Medicine 27, 2008,
    "MOVER"): their distances from the shares add like standard errors, with the correlation of two shares
    that exclude each other. With `down` 0 it is nearly the bound of p alone.
    """
    p, q = up / samples, down / samples
    above = max(share_bounds(up, samples, level)[1] - p, 0.0)
    below = max(q - share_bounds(down, samples, level)[0], 0.0)
    together = sqrt(p * q / ((1 - p) * (1 - q))) if p < 1 and q < 1 else 0.0
    return p - q + sqrt(above**2 + below**2 + 2 * together * above * below)


def difference_at_most(limit: float, up: float, down: float, samples: float) -> float:
    """Return with which certainty p - q is at most a limit."""
    if limit >= 1:
        return 1.0
    if limit <= (up - down) / samples:
        return 0.0
    return 1 - _where(lambda level: -difference_bound(up, down, samples, level), -limit, _COARSE)


def student_distribution(t: float, freedom: int) -> float:
    """Return the chance that a Student's t with so many degrees of freedom is at most `t`."""
    half = beta_distribution(t * t / (freedom + t * t), 0.5, freedom / 2) / 2
    return 0.5 + half if t > 0 else 0.5 - half


def student_quantile(chance: float, freedom: int) -> float:
    """Return the t that is not exceeded with a chance of at least 1/2, below 1e3."""
    return _where(lambda t: student_distribution(1e3 * t, freedom), chance) * 1e3


def beta_distribution(x: float, a: float, b: float) -> float:
    """Return the regularized incomplete beta function I_x(a, b), to about 12 digits.

    By its continued fraction (NIST Digital Library of Mathematical Functions, 8.17.22), evaluated from the
    front as Lentz does.

    >>> round(beta_distribution(0.3, 1, 2), 6)  # 1 - 0.7^2
    0.51
    """
    if isnan(x) or x <= 0:
        return 0.0
    if x >= 1:
        return 1.0
    if x > (a + 1) / (a + b + 2):
        return 1 - beta_distribution(1 - x, b, a)
    front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log(1 - x)) / a
    value, numerator, denominator = 1.0, 1.0, 0.0
    for term in range(_TERMS):
        half = term // 2
        if term == 0:
            factor = 1.0
        elif term % 2:
            factor = -(a + half) * (a + b + half) * x / ((a + 2 * half) * (a + 2 * half + 1))
        else:
            factor = half * (b - half) * x / ((a + 2 * half - 1) * (a + 2 * half))
        denominator = 1 / _apart(1 + factor * denominator)
        numerator = _apart(1 + factor / numerator)
        value *= numerator * denominator
        if term and abs(numerator * denominator - 1) < _PRECISION:
            break
    return min(max(front * (value - 1), 0.0), 1.0)


def _apart(value: float) -> float:
    return value if abs(value) > _SMALLEST else _SMALLEST


def _where(rises: Callable[[float], float], value: float, halvings: int = _HALVINGS) -> float:
    """Return where in [0, 1] a function that rises reaches a value."""
    low, high = 0.0, 1.0
    for _ in range(halvings):
        middle = (low + high) / 2
        low, high = (middle, high) if rises(middle) < value else (low, middle)
    return (low + high) / 2
