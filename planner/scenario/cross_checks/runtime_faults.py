"""What does not go with the runtime of a device."""

from collections.abc import Iterator, Sequence

from planner.scenario.device_schema import DeviceSpec
from planner.scenario.schema import ConversionSpec, Scenario
from planner.scenario.validation_messages import Fault
from profiling.precision import OFFERED, Precision
from profiling.runtime_names import LITERT, ONNX_RUNTIME, TENSORFLOW

_IN_ALL = (Precision.FP32, Precision.INT8)
_OF_ONNX_RUNTIME = (Precision.FP32, *OFFERED)
_DEFAULT_PROVIDER = DeviceSpec.model_fields["provider"].default
_NOT_LITERT = "is of ONNX Runtime, not of runtime: litert"
_NOT_COMMON = "is not known where devices run different runtimes"


def runtime_faults(scenario: Scenario) -> Iterator[Fault]:
    """Yield keys that the runtime of a device has not, or that two runtimes do not have in common."""
    for i, device in enumerate(scenario.devices):
        runtime = scenario.runtime_of(device)
        if runtime != ONNX_RUNTIME and device.provider != _DEFAULT_PROVIDER:
            yield Fault(("devices", i, "provider"), _NOT_LITERT.replace(LITERT, runtime))
        odd = next((p for p in device.precisions or () if p is not Precision.FP32), None)
        if runtime == TENSORFLOW and odd is not None:
            yield Fault(
                ("devices", i, "precisions"), f"{odd} is not known of runtime: tensorflow; it has fp32"
            )
        origin = next((one for one in scenario.devices if one.name == device.scaled_from), device)
        if scenario.runtime_of(origin) != scenario.runtime_of(device):
            text = (
                f"is {device.runtime}, but {origin.name}, whose costs it takes, runs "
                f"{scenario.runtime_of(origin)}: take those of a device that runs {device.runtime}"
            )
            yield Fault(("devices", i, "runtime"), text)
    if not scenario.has_blocks and LITERT not in scenario.runtimes:
        yield from _precision_faults(scenario)
        return
    yield from _litert_faults(scenario)
    yield from _common_faults(scenario) if scenario.has_blocks else _litert_precision_faults(scenario)


def _named_precisions(scenario: Scenario) -> Iterator[tuple[tuple[str | int, ...], Sequence[Precision]]]:
    """Yield each key that lists precisions, with what it lists."""
    yield ("precisions",), scenario.offered_precisions
    for i, device in enumerate(scenario.devices):
        yield ("devices", i, "precisions"), device.precisions or ()


def _common_faults(scenario: Scenario) -> Iterator[Fault]:
    """Yield what goes with only one of the runtimes: precisions, and quantizing in the conversion."""
    for name in ("quantization", "integer_type"):
        if getattr(scenario.conversion, name) != ConversionSpec.model_fields[name].default:
            yield Fault(("conversion", name), f"{_NOT_COMMON}: a plan quantizes, not the conversion")
    for key_path, precisions in _named_precisions(scenario):
        odd = next((precision for precision in precisions if precision not in _IN_ALL), None)
        if odd is not None:
            yield Fault(key_path, f"{odd} {_NOT_COMMON}; take fp32, int8")


def _precision_faults(scenario: Scenario) -> Iterator[Fault]:
    """Yield precisions that ONNX Runtime has not, where they are named."""
    for key_path, precisions in _named_precisions(scenario):
        unknown = next((precision for precision in precisions if precision not in _OF_ONNX_RUNTIME), None)
        if unknown is not None:
            yield Fault(key_path, f"{unknown} is of runtime: litert")


def _litert_precision_faults(scenario: Scenario) -> Iterator[Fault]:
    """Yield a precision that LiteRT has not; a device can name only those of the scenario."""
    if Precision.INT8_QOPERATOR in scenario.offered_precisions:
        yield Fault(("precisions",), f"{Precision.INT8_QOPERATOR} {_NOT_LITERT}")


def _litert_faults(scenario: Scenario) -> Iterator[Fault]:
    text = _NOT_LITERT if len(scenario.runtimes) == 1 else _NOT_COMMON
    if scenario.wires:
        yield Fault(("wires",), text)
    if scenario.weights == "compressed":
        yield Fault(("weights",), f"compressed {text}")
    both = {Precision.INT8, Precision.INT16}
    if both.issubset(scenario.offered_precisions):
        yield Fault(
            ("precisions",), "int8 and int16 together are not known of runtime: litert; leave one out"
        )
    of_devices = [(("devices", i), device.quantization) for i, device in enumerate(scenario.devices)]
    for key_path, quantization in [((), scenario.quantization), *of_devices]:
        for key, value in quantization:
            if value is not None:
                yield Fault((*key_path, "quantization", key), text)
