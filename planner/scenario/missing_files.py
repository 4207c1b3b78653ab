"""Files and modules that a scenario names and that are not there."""

import sys
from collections.abc import Iterator
from importlib.machinery import PathFinder
from pathlib import Path

from planner.scenario.data_schema import LabelTable, SampleSpec
from planner.scenario.device_schema import DeviceSpec
from planner.scenario.model_paths import APPLICATION, IMAGENET, is_object
from planner.scenario.schema import Scenario
from planner.scenario.validation_messages import Fault
from profiling.records.cost_table import SUFFIX as COSTS_SUFFIX

_UNSET = "${"  # of a variable, which is a fault of its own


def missing_files(scenario: Scenario) -> Iterator[Fault]:
    """Yield a fault per file, folder or module of a scenario, its paths absolute, that does not exist."""
    yield from missing_but_profiles(scenario)
    for i, device in enumerate(scenario.devices):
        yield from _missing_in_device(("devices", i, "profile"), device)
    for i, device_class in enumerate(scenario.fleet.classes if scenario.fleet else ()):
        if device_class.profile is not None:
            yield from _missing_file(("fleet", "classes", i, "profile"), device_class.profile)


def missing_but_profiles(scenario: Scenario) -> Iterator[Fault]:
    """Yield the same but for profiles, which may be about to be made."""
    if is_object(scenario.model):
        yield from _missing_module(("model",), scenario.model)
    elif scenario.model and not scenario.model.startswith(APPLICATION):
        yield from _missing_file(("model",), scenario.model)
    conversion = scenario.conversion
    if conversion.weights not in (None, IMAGENET):
        yield from _missing_file(("conversion", "weights"), str(conversion.weights))
    yield from _missing_module(("conversion", "custom_objects"), conversion.custom_objects)
    for part in ("calibration", "evaluation"):
        yield from _missing_in_samples(("data", part), getattr(scenario.data, part))
    yield from _missing_module(("metric",), scenario.metric_function)


def _missing_in_samples(key_path: tuple[str, ...], spec: SampleSpec) -> Iterator[Fault]:
    if spec.npz is not None:
        yield from _missing_file((*key_path, "npz"), spec.npz)
    for key in ("images", "clips"):
        folder = getattr(spec, key)
        if folder is not None and _UNSET not in folder and not Path(folder).is_dir():
            yield Fault((*key_path, key), f"{folder} is not a folder")
    if spec.audio is not None:
        yield from _missing_module((*key_path, "audio", "features"), spec.audio.features)
    if spec.label_file is not None:
        keys = ("labels", "file") if isinstance(spec.labels, LabelTable) else ("labels",)
        yield from _missing_file((*key_path, *keys), spec.label_file)
    if isinstance(spec.classes, str):
        yield from _missing_file((*key_path, "classes"), spec.classes)
    yield from _missing_module((*key_path, "reader"), spec.reader)


def _missing_in_device(key_path: tuple[str | int, ...], device: DeviceSpec) -> Iterator[Fault]:
    if not device.is_measured_here:
        for fault in _missing_file(key_path, str(device.profile)):
            if str(device.profile).lower().endswith(COSTS_SUFFIX):
                yield fault
                continue
            yield Fault(
                fault.key_path,
                f"{device.profile} (profile of {device.name}) does not exist; make it on the device: "
                f"plan profile SCENARIO --device {device.name}, with --bundle DIR if this package cannot be "
                "installed there",
            )


def _missing_file(key_path: tuple[str | int, ...], path: str) -> Iterator[Fault]:
    if _UNSET not in path and not Path(path).exists():
        yield Fault(key_path, f"{path} does not exist")


def _missing_module(key_path: tuple[str, ...], target: str | None) -> Iterator[Fault]:
    """Yield a fault if there is no module FOLDER/module of a `FOLDER/module:name`."""
    if target is None or _UNSET in target or ":" not in target:
        return
    folder, _, name = target.rpartition("/")
    # Only the top package is looked for: finding a submodule would import its parents.
    top = name.partition(":")[0].partition(".")[0]
    is_there = top in sys.builtin_module_names or PathFinder.find_spec(top, [folder, *sys.path]) is not None
    if not is_there:
        yield Fault(key_path, f"{name} cannot be used: there is no module {top} in {folder}")
