"""What each unit costs on a device in each precision, and each tensor in each conversion."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from planner.devices.runtime import origin_of
from planner.scenario.schema import Scenario
from profiling.graph.operator_graph import OperatorGraph
from profiling.on_device.measurement_order import DECODE, ENCODE
from profiling.precision import Precision, Wire
from profiling.quantization.qdq_model import Scheme
from profiling.records.profile import LatencyProfile, NoiseProfile


@dataclass(frozen=True, slots=True)
class DeviceCosts:
    """What units and tensors cost on one device.

    Parameters
    ----------
    units, switches
        (unit, precision) -> seconds, and (tensor, precision, other precision) -> seconds to convert it.
    unit_noise, tensor_noise
        (name, precision) -> noise power of quantizing it in the device's scheme.
    symmetric
        Whether that scheme has symmetric activations.
    fp32_s
        Seconds of the whole fp32 model.
    start_s
        Seconds that a stage takes besides its units.
    leave_s, enter_s
        (tensor, precision) -> seconds that a stage loses by ending or beginning there.
    wires
        (wire, encode or decode) -> seconds of any tensor, and per element.
    float16_noise
        Tensor -> noise power of crossing as float16, None if it cannot.
    signed
        Whether integers that are not symmetric have a sign, too.
    """

    units: Mapping[tuple[str, Precision], float]
    switches: Mapping[tuple[str, Precision, Precision], float]
    unit_noise: Mapping[tuple[str, Precision], float]
    tensor_noise: Mapping[tuple[str, Precision], float]
    symmetric: bool = False
    fp32_s: float = 0.0
    start_s: float = 0.0
    leave_s: Mapping[tuple[str, Precision], float] = field(default_factory=dict)
    enter_s: Mapping[tuple[str, Precision], float] = field(default_factory=dict)
    wires: Mapping[tuple[Wire, str], tuple[float, float]] = field(default_factory=dict)
    float16_noise: Mapping[str, float | None] = field(default_factory=dict)
    signed: bool = False

    @classmethod
    def of(
        cls,
        latency: LatencyProfile,
        noise: Mapping[Precision, NoiseProfile],
        scheme: Scheme,
        speedup: float = 1.0,
    ) -> "DeviceCosts":
        """Return the costs on a device that is `speedup` times as fast as the profile's."""
        # Seconds that no kernel accounts for are time of the model, too: units bear them in proportion.
        latency = latency.spread_rest()
        return cls(
            {(row.unit, row.precision): row.seconds / speedup for row in latency.units},
            {(row.tensor, row.source, row.to): row.seconds / speedup for row in latency.switches},
            {
                (row.unit, precision): row.power
                for precision, profile in noise.items()
                for row in profile.units
            },
            {
                (row.tensor, precision): row.power
                for precision, profile in noise.items()
                for row in profile.tensors
            },
            scheme.symmetric,
            latency.wall_s[Precision.FP32] / speedup,
            latency.start_s / speedup,
            {(row.tensor, row.form): row.leave_s / speedup for row in latency.seams},
            {(row.tensor, row.form): row.enter_s / speedup for row in latency.seams},
            {(w.wire, w.side): (w.start_s / speedup, w.element_s / speedup) for w in latency.wires},
            {row.tensor: row.float16 for profile in noise.values() for row in profile.tensors},
            signed=scheme.tool != "",
        )

    def coding_s(self, tensor: str, wire: Wire, graph: OperatorGraph) -> float:
        """Return the seconds to bring a tensor into a wire and back."""
        lines = (self.wires[wire, side] for side in (ENCODE, DECODE))
        return sum(start + slope * graph.tensors[tensor].elements for start, slope in lines)


def device_costs(
    scenario: Scenario,
    latency: Mapping[str, LatencyProfile],
    noise: Mapping[Scheme, NoiseProfile],
    schemes: Mapping[str, Scheme],
) -> dict[str, DeviceCosts]:
    """Return every device's costs; a scaled device takes another's seconds, divided by its speedups."""
    costs = {}
    for device in scenario.devices:
        origin, speedup = origin_of(scenario, device)
        scheme = schemes[device.name]
        rounded = scenario.rounded_precisions
        by_precision = dict(zip(rounded, noise_of(scenario, scheme, noise), strict=True))
        costs[device.name] = DeviceCosts.of(latency[origin.name], by_precision, scheme, speedup)
    return costs


def noise_of(
    scenario: Scenario, scheme: Scheme, noise: Mapping[Scheme, NoiseProfile]
) -> tuple[NoiseProfile, ...]:
    """Return the noise in each of the rounded precisions of a device with a scheme."""
    return tuple(noise[scheme.as_rounded.at(precision)] for precision in scenario.rounded_precisions)
