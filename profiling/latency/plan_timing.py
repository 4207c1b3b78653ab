"""A plan's models as they were timed in turn: the whole, the fp32 model, and the plan's stages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from profiling.on_device.measured_record import Timed
from profiling.on_device.measurement_order import PlannedUnit, SwitchTensor
from profiling.precision import Precision


@dataclass(frozen=True, slots=True)
class StageTime:
    """Seconds of one stage.

    Parameters
    ----------
    units
        By index; none in a stage that only switches an input or output.
    profiled_here
        Whether the stage's device takes its costs from the profile that is corrected.
    """

    units: tuple[int, ...]
    seconds: float
    profiled_here: bool = True


@dataclass(frozen=True, slots=True)
class PlanTiming:
    """A plan's whole model, the fp32 model and the plan's stages, timed in turn on one device.

    Parameters
    ----------
    units, switches
        The model's units, and its tensors that may change their precision, by index.
    mix
        Precisions of the plan's quantized units.
    fp32_s
        Seconds of the fp32 model.
    stages
        Empty if the plan is not cut.
    standard_error
        Of the seconds of its stages, or of the whole model, as a fraction of them.
    """

    units: Sequence[PlannedUnit]
    switches: Sequence[SwitchTensor]
    mix: Mapping[int, Precision]
    fp32_s: float
    plan: Timed
    stages: tuple[StageTime, ...] = ()
    standard_error: float = 0.0

    @property
    def ratio_to_fp32(self) -> float:
        """Seconds of the plan's model over those of the fp32 model."""
        return self.plan.wall_s / self.fp32_s

    @property
    def chain_ratio_to_fp32(self) -> float:
        """Seconds of the plan's stages, one after another, over those of the fp32 model."""
        if not self.stages:
            return self.ratio_to_fp32
        return sum(stage.seconds for stage in self.stages) / self.fp32_s

    def precision_of(self, unit: int) -> Precision:
        """Return what a unit computes in."""
        quantizable = self.units[unit].quantizable
        return self.mix.get(unit, Precision.FP32) if quantizable else Precision.FP32
