"""How the range of a tensor is taken from the values that samples show."""

from dataclasses import dataclass
from enum import StrEnum


class RangeMethod(StrEnum):
    """What a tensor's 8-bit numbers span; what lies outside is clipped."""

    MINMAX = "minmax"  # every value
    ENTROPY = "entropy"  # the values whose distribution 8 bits keep best, by Kullback and Leibler
    PERCENTILE = "percentile"  # all but the outermost few
    MSE = "mse"  # the least mean square error of rounding and clipping
    BEST = "best"  # what gives the least noise of minmax, percentile, mse, and the best of these per tensor


@dataclass(frozen=True, slots=True)
class TensorRanges:
    """Which ranges tensors have in a scheme: by which method, for numbers around zero or others."""

    method: RangeMethod = RangeMethod.MINMAX
    symmetric: bool = False

    @property
    def is_minmax(self) -> bool:
        """Whether ranges are least and greatest value, of which every file knows."""
        return self.method is RangeMethod.MINMAX

    @property
    def label(self) -> str:
        """A name for records."""
        return f"{self.method}-symmetric" if self.symmetric else str(self.method)
