"""The whole model with units in precisions, as one stage that knows what became of it."""

from collections.abc import Mapping
from dataclasses import dataclass

from profiling.errors import QuantizeError
from profiling.graph.any_model import Stage
from profiling.litert.calibration import Ranges
from profiling.litert.cut import whole_stage
from profiling.litert.modes import MODES, Mode
from profiling.litert.quantize import QuantizedModel, quantize_units
from profiling.litert.unit_graph import LitertGraph
from profiling.precision import Precision

MODE_OF: Mapping[str, Mode] = {mode.name: mode for mode in MODES}
"""Precision -> the mode of LiteRT that has its name."""


@dataclass(frozen=True, slots=True)
class MixedModel(Stage):
    """A whole model with units in precisions.

    Parameters
    ----------
    parted
        The same, with the operators of each unit.
    """

    parted: QuantizedModel | None = None

    @property
    def quantized(self) -> QuantizedModel:
        """The same, with the operators of each unit; it has to be there.

        Raises
        ------
        ValueError
            If it is not.
        """
        if self.parted is None:
            raise ValueError("the stage is no mixed model")
        return self.parted


def mixed_model(graph: LitertGraph, mix: Mapping[int, Precision], ranges: Ranges) -> MixedModel:
    """Return the model with units in precisions.

    Raises
    ------
    QuantizeError
        If a unit cannot be as it is asked to be.
    """
    found = quantize_units(graph, {unit: MODE_OF[precision] for unit, precision in mix.items()}, ranges)
    for unit, reason in found.reasons.items():
        raise QuantizeError(f"unit {graph.units[unit].name!r} cannot be {mix[unit]}: {reason}")
    return as_mixed(found)


def as_mixed(parted: QuantizedModel) -> MixedModel:
    """Return a quantized model as one stage."""
    whole = whole_stage(parted.model)
    return MixedModel(
        whole.operators, whole.inputs, whole.outputs, whole.content, whole.tensors, parted=parted
    )
