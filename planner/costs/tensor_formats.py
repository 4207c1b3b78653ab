"""The formats in which the devices of a scenario quantize tensors."""

from collections.abc import Mapping
from dataclasses import dataclass

from planner.costs.device_costs import DeviceCosts
from planner.problem.tensors import Format
from planner.scenario.schema import Scenario
from profiling.graph.any_model import Tensor
from profiling.precision import Precision

_BYTES = {Precision.INT8: 1, Precision.INT16: 2}  # of a quantized tensor's element


@dataclass(frozen=True, slots=True)
class TensorFormats:
    """Number 0 is float; then comes each precision in each way in which devices quantize activations.

    Parameters
    ----------
    quantized
        (precision, costs of a device that quantizes so), from number 1 on.
    """

    quantized: tuple[tuple[Precision, DeviceCosts], ...]

    @classmethod
    def of(cls, scenario: Scenario, costs: Mapping[str, DeviceCosts]) -> "TensorFormats":
        """Return the formats that a scenario's devices use; those of int8 if none quantizes."""
        quantizing = [d for d in scenario.devices if any(p.is_static for p in scenario.precisions_of(d))]
        used = [costs[device.name] for device in quantizing or scenario.devices]
        by_symmetry = {
            device_costs.symmetric: device_costs
            # Where several runtimes hand tensors over, integers with a sign are what crosses.
            for device_costs in sorted(used, key=lambda one: (one.symmetric, one.signed))
        }
        allowed = {p.numbers for device in scenario.devices for p in scenario.precisions_of(device)}
        precisions = [precision for precision in Precision if precision in _BYTES and precision in allowed]
        return cls(
            tuple(
                (p, device_costs)
                for p in precisions or [Precision.INT8]
                for device_costs in by_symmetry.values()
            )
        )

    def formats(self) -> tuple[Format, ...]:
        """Return them as the problem has them."""
        formats = [Format("float")]
        for number, (precision, costs) in enumerate(self.quantized, start=1):
            # The coarser formats of the same symmetry come first, as int8 does before int16 in `Precision`.
            accepts = [
                coarser
                for coarser, (_, other) in enumerate(self.quantized[:number], start=1)
                if other.symmetric == costs.symmetric
            ]
            name = precision.value if costs.symmetric or costs.signed else f"u{precision.value}"
            formats.append(Format(name, tuple(accepts), has_integer_kernel=precision is Precision.INT8))
        return tuple(formats)

    def number(self, precision: Precision, costs: DeviceCosts) -> int:
        """Return the number of the format in which a device quantizes activations in a precision."""
        keys = [(quantized_precision, other.symmetric) for quantized_precision, other in self.quantized]
        return 1 + keys.index((precision.numbers, costs.symmetric))

    @property
    def precisions(self) -> tuple[Precision, ...]:
        """The precision of each format, float's first."""
        return (Precision.FP32, *(precision for precision, _ in self.quantized))


def tensor_bytes(tensor: Tensor, precision: Precision) -> int:
    """Return the bytes of a tensor between units of a precision."""
    quantized = tensor.is_float and precision.numbers in _BYTES
    return tensor.elements * _BYTES[precision.numbers] if quantized else tensor.size_bytes
