"""Which quantization scheme each device of a scenario uses, and how it can be tried out here."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from planner.devices.profile_files import is_cost_table, naming_profile, profile_key
from planner.devices.runtime import local_runtime, origin_of, runtime_of
from planner.errors import ScenarioError
from planner.scenario.device_schema import DeviceSpec
from planner.scenario.schema import Scenario
from profiling.errors import ProfileError
from profiling.on_device.create_session import Optimization
from profiling.quantization.int8_overflow import this_cpu_overflows
from profiling.quantization.qdq_model import LITERT as LITERT_SCHEME
from profiling.quantization.qdq_model import SCHEMES, Scheme
from profiling.quantization.qdq_model import TENSORFLOW as TENSORFLOW_SCHEME
from profiling.records.profile import LatencyProfile, load_profile
from profiling.runtime.convolution_layout import has_blocked_layout
from profiling.runtime.open_session import Runtime
from profiling.runtime_names import LITERT, ONNX_RUNTIME, TENSORFLOW

_OF_OTHERS = {LITERT: LITERT_SCHEME, TENSORFLOW: TENSORFLOW_SCHEME}  # runtimes than ONNX Runtime


def choose_schemes(scenario: Scenario) -> dict[str, Scheme]:
    """Return device -> scheme: as the scenario says, else 7-bit weights if any processor needs them.

    A plan is tried out on this machine, so this one counts too.

    Raises
    ------
    ProfileError
        If a profile file, also of a fleet's class, cannot be read, or was made with another scheme than its
        device is to use.
    """
    files = {device.name: _profile_of(scenario, device) for device in scenario.devices}
    # Where one processor needs 7 bits, all devices use them, unless the scenario says otherwise.
    auto = any(latency is not None and latency.overflows for latency in files.values())
    schemes = {
        device.name: _scheme(scenario, device, files[origin_of(scenario, device)[0].name], auto=auto)
        for device in scenario.devices
    }
    for name in _without_layout(scenario, schemes):
        schemes[name] = replace(schemes[name], blocked_layout=False)
    return schemes


def scheme_here(scenario: Scenario, device: DeviceSpec, runtime: Runtime) -> Scheme:
    """Return the scheme with which this machine is measured as a device."""
    if scenario.runtime_of(device) != ONNX_RUNTIME:
        return _OF_OTHERS[scenario.runtime_of(device)]
    spec = scenario.quantization_of(device)
    reduce_range = this_cpu_overflows(runtime) if spec.reduce_range is None else spec.reduce_range
    scheme = Scheme(bool(spec.symmetric), reduce_range, blocked_layout=has_blocked_layout(runtime))
    return _shared(scenario, scheme)


def _shared(scenario: Scenario, scheme: Scheme) -> Scheme:
    """Return a scheme with what all devices of a scenario share."""
    return replace(
        scheme, ranges=scenario.range_method, bias_correction=bool(scenario.quantization.bias_correction)
    )


def scheme_there(scenario: Scenario, device: DeviceSpec) -> Scheme:
    """Return the scheme with which a device is measured by itself.

    Bits of weights do not change seconds; whether kernels overflow there is found out there. Its models
    fit any processor, so that none asks for the blocked layout.
    """
    if scenario.runtime_of(device) != ONNX_RUNTIME:
        return _OF_OTHERS[scenario.runtime_of(device)]
    spec = scenario.quantization_of(device)
    return Scheme(bool(spec.symmetric), bool(spec.reduce_range))


def schemes_of(quantization: Mapping[str, str]) -> dict[str, Scheme]:
    """Return device -> scheme as a plan names them.

    Raises
    ------
    ScenarioError
        If this version knows no such scheme.
    """
    unknown = set(quantization.values()) - set(SCHEMES)
    if unknown:
        raise ScenarioError(f"plan.json: unknown quantization scheme {sorted(unknown)[0]!r}")
    return {device: SCHEMES[label] for device, label in quantization.items()}


def trial_level(scenario: Scenario, device: DeviceSpec, scheme: Scheme) -> Optimization:
    """Return how a device's stage runs here so that its numbers are the device's.

    If int8 kernels overflow here with the device's 8-bit weights but not there, they must not run: at
    basic optimization the quantized model computes in float.
    """
    foreign = not device.is_measured_here or device.scaled_from is not None
    if foreign and not scheme.reduce_range and this_cpu_overflows(local_runtime(scenario)):
        return Optimization.BASIC
    return Optimization.DEFAULT


def _profile_of(scenario: Scenario, device: DeviceSpec) -> LatencyProfile | None:
    """Return what a device's profile file says of its scheme; None where nothing does."""
    if device.is_measured_here:
        return None
    path = Path(str(device.profile))
    if not path.exists():
        raise ProfileError(
            f"{profile_key(scenario, device)}: {path} (profile of {device.name}) does not exist; make it on "
            f"the device: plan profile SCENARIO --device {device.name}, with --bundle DIR if this package "
            "cannot be installed there"
        )
    if is_cost_table(path):
        return None
    with naming_profile(scenario, device):
        return load_profile(path).latency


def _scheme(scenario: Scenario, device: DeviceSpec, file: LatencyProfile | None, *, auto: bool) -> Scheme:
    if scenario.runtime_of(device) != ONNX_RUNTIME:
        return _OF_OTHERS[scenario.runtime_of(device)]
    origin, _ = origin_of(scenario, device)
    spec = scenario.quantization_of(device)
    symmetric = spec.symmetric
    if symmetric is None:
        symmetric = scenario.quantization_of(origin).symmetric
    if file is not None:
        where = f"{profile_key(scenario, origin)}: {origin.profile}"
        profiled_scheme = SCHEMES.get(file.scheme)
        if profiled_scheme is None:
            raise ProfileError(f"{where}: unknown quantization scheme {file.scheme!r}")
        symmetric = profiled_scheme.symmetric if symmetric is None else symmetric
        if device is origin and symmetric != profiled_scheme.symmetric:
            raise ProfileError(
                f"{where} was made with {'' if profiled_scheme.symmetric else 'a'}symmetric "
                f"activations, but quantization.symmetric of {device.name} is {str(symmetric).lower()}"
            )
        if device is origin and spec.reduce_range is False and file.overflows:
            raise ProfileError(
                f"{where}: int8 kernels overflow there with 8-bit weights, but "
                f"quantization.reduce_range of {device.name} is false"
            )
    reduce_range = spec.reduce_range
    if reduce_range is None:
        reduce_range = auto or this_cpu_overflows(local_runtime(scenario))
    scheme = Scheme(bool(symmetric), reduce_range, blocked_layout=_is_blocked(origin, file))
    return _shared(scenario, scheme)


def _is_blocked(device: DeviceSpec, file: LatencyProfile | None) -> bool:
    """Return whether a device computes float convolutions in the blocked layout, as it was profiled."""
    if file is not None:
        return SCHEMES[file.scheme].blocked_layout
    return device.is_measured_here and has_blocked_layout(runtime_of(device))


def _without_layout(scenario: Scenario, schemes: Mapping[str, Scheme]) -> set[str]:
    """Return the devices that cannot have the blocked layout since a class of a fleet was measured without.

    A fleet has one plan for all its classes. Those are all devices that take the costs of the fleet's.
    """
    fleet = scenario.fleet
    if fleet is None or not schemes[fleet.device].blocked_layout:
        return set()
    device = scenario.device(fleet.device)
    paths = [one.profile for one in fleet.classes if one.profile is not None]
    files = [
        _profile_of(scenario, device.model_copy(update={"profile": path, "scaled_from": None}))
        for path in paths
        if Path(path).exists()  # else it is said where its costs are read
    ]
    found = [SCHEMES.get(file.scheme) if file is not None else None for file in files]
    if len(found) == len(paths) and all(scheme is not None and scheme.blocked_layout for scheme in found):
        return set()
    origins = {name: origin_of(scenario, scenario.device(name))[0].name for name in schemes}
    return {name for name, origin in origins.items() if origin == origins[fleet.device]}
