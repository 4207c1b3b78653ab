"""Within which of some values the median of all such values lies, whatever their distribution."""

from collections.abc import Sequence
from itertools import accumulate
from math import comb

_LEFT_OUT = 0.025  # at each end of an interval of 95 %


def median_interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the narrowest pair of order statistics, as far from either end, that holds the median in 95 %.

    So many of n values lie below the median as a fair coin shows heads in n throws (Conover, Practical
    Nonparametric Statistics, 1999, 3.2). Of fewer than nine values it is the least and the greatest; of
    fewer than six those hold the median less often.

    Raises
    ------
    ValueError
        If there is no value.

    Examples
    --------
    >>> median_interval([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 90])  # the third of each end
    (3, 10)
    """
    ordered, count = sorted(values), len(values)
    if not ordered:
        raise ValueError("no values: there is no median")
    tails = accumulate(comb(count, heads) / 2**count for heads in range(count))
    beyond = max(0, sum(tail <= _LEFT_OUT for tail in tails) - 1)
    return ordered[beyond], ordered[count - 1 - beyond]
