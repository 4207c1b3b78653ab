"""Which precisions nothing speaks for, by what whole models in them cost."""

from collections.abc import Sequence
from dataclasses import dataclass

from profiling.precision import Precision

ALWAYS = (Precision.FP32, Precision.INT8)
"""Never left out: one is exact, and tensors in the other are the smallest that cross links."""
NO_GAIN = 0.05
"""What is faster by less than this fraction gains nothing: so much sessions of one model differ by."""


@dataclass(frozen=True, slots=True)
class WholeModelCosts:
    """What a whole model in one precision costs.

    Parameters
    ----------
    units
        Those that can have the precision and are in it, by index; others are in fp32. All for fp32.
    ratio
        Its seconds over those of the fp32 model.
    margin
        By which fraction the ratio may be off, either way; 0 for fp32.
    noise_power
        0 for fp32.
    weight_bytes
        0 for every precision where memory is neither limited nor an objective.
    wire_bytes
        Of an element of a tensor that crosses a link; 0 for every precision where there is no link.
    """

    precision: Precision
    units: tuple[int, ...]
    ratio: float
    margin: float
    noise_power: float
    weight_bytes: float
    wire_bytes: float

    @property
    def fastest(self) -> float:
        """The ratio, less its margin."""
        return self.ratio * (1 - self.margin)

    @property
    def slowest(self) -> float:
        """The ratio, with its margin."""
        return self.ratio * (1 + self.margin)

    def dominates(self, other: "WholeModelCosts") -> bool:
        """Return whether this one, of the same units, is faster for certain, and no worse elsewhere."""
        is_faster = self.slowest * (1 + NO_GAIN) < other.fastest
        return self.units == other.units and is_faster and self._no_worse(other)

    def leaves_no_gain(self, other: "WholeModelCosts") -> bool:
        """Return whether the other one gains no time for certain, and is better in nothing else."""
        return self.is_as_fast_as(other) and self._no_worse(other)

    def is_as_fast_as(self, other: "WholeModelCosts") -> bool:
        """Return whether the other one gains no time for certain."""
        return other.fastest >= self.slowest * (1 - NO_GAIN)

    def _no_worse(self, other: "WholeModelCosts") -> bool:
        return (
            self._is_as_exact_as(other)
            and self.weight_bytes <= other.weight_bytes
            and self.wire_bytes <= other.wire_bytes
        )

    def _is_as_exact_as(self, other: "WholeModelCosts") -> bool:
        # Where outputs are indices, few samples may show no error of either: that says nothing.
        is_shown = self.precision is Precision.FP32 or bool(self.noise_power or other.noise_power)
        return is_shown and self.noise_power <= other.noise_power


def dominated_precisions(costs: Sequence[WholeModelCosts]) -> dict[Precision, Precision]:
    """Return precision -> the one, not dominated itself, for which it is left out.

    It is left out if fp32, in which the same units can be, leaves it no gain; if another dominates it; or if
    it has the numbers of another and is not faster. None of `ALWAYS` is. Of several that dominate, fp32 is
    named if it is one, else the fastest: the order of `costs` does not matter.

    Parameters
    ----------
    costs
        Of different precisions; fp32 among them.
    """
    by_precision = {one.precision: one for one in costs}
    same = {
        one.precision: one.precision.numbers
        for one in costs
        if one.precision.numbers is not one.precision
        and one.precision.numbers in by_precision
        and by_precision[one.precision.numbers].is_as_fast_as(one)
    }
    return same | _dominated([one for one in costs if one.precision not in same])


def _dominated(costs: Sequence[WholeModelCosts]) -> dict[Precision, Precision]:
    exact = next(one for one in costs if one.precision is Precision.FP32)
    others = [one for one in costs if one.precision not in ALWAYS]
    without_gain = {one.precision for one in others if exact.leaves_no_gain(one)}
    found = dict.fromkeys(without_gain, Precision.FP32)
    # Ranges of ratios are ordered, so that what dominates and is dominated itself leaves another that does.
    for other in others:
        better = [one for one in costs if one.precision not in without_gain and one.dominates(other)]
        if other.precision not in found and better:
            found[other.precision] = min(better, key=lambda one: (one.slowest, one.precision)).precision
    return found
