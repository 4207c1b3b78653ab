"""A bundle: what is to be measured, and the command that measures it where it lies, in its runtime."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from importlib import import_module
from pathlib import Path
from typing import Callable, NamedTuple, Protocol

import numpy as np

from profiling.on_device.latency_record import LatencyRecord
from profiling.on_device.measurement_order import (
    FORMAT,
    MOST_ROUNDS,
    MOST_THREADS,
    XNNPACK,
    MeasurementPlan,
    PlannedUnit,
    SwitchTensor,
    WireModel,
)
from profiling.on_device.runtime_session import Feeds, Report

SCRIPT = "measure.py"
ORDER, FEEDS, MODELS = "order.json", "feeds.npz", "models"
_INTERRUPTED = 130  # what shells return for SIGINT


class BundleRuntime(Protocol):
    """A runtime, and how the bundles for it are measured."""

    @property
    def version(self) -> str:
        """Its name and version."""

    def fault(self, plan: MeasurementPlan) -> str | None:
        """Return why it cannot measure a plan here, if so."""

    def measure(self, plan: MeasurementPlan, folder: Path, feeds: Feeds, report: Report) -> LatencyRecord:
        """Return the record of the models in a bundle."""


class _Installed(NamedTuple):
    """A runtime by its name, what installs it, and the module that has it as `RUNTIME`."""

    name: str
    package: str
    module: str


_LITERT = _Installed("LiteRT", "ai-edge-litert", "profiling.on_device.litert.litert_bundle")
_ONNX_RUNTIME = _Installed("ONNX Runtime", "onnxruntime", "profiling.on_device.onnx_runtime_bundle")


def read_measurement_plan(folder: Path) -> MeasurementPlan:
    """Return what a bundle is to measure."""
    content = json.loads((folder / ORDER).read_text())
    content.pop("files", None)  # the planner's own list of what it wrote here
    content["units"] = [PlannedUnit(*row) for row in content["units"]]
    content["switches"] = [SwitchTensor(*row) for row in content["switches"]]
    content["wires"] = [WireModel(*row) for row in content["wires"]]
    return MeasurementPlan(**content)


def read_feeds(folder: Path) -> Feeds:
    """Return a bundle's sample."""
    with np.load(folder / FEEDS) as archive:
        return {f"{name}": archive[name] for name in archive.files}


def main(folder: Path, arguments: Sequence[str]) -> None:
    """Measure a bundle and write the device's profile, by default DEVICE.profile.json.

    Raises
    ------
    SystemExit
        With a message if it cannot be measured; then no profile is written.
    """
    options = _options(arguments)
    plan = read_measurement_plan(folder)
    if options.rounds is not None:
        plan = replace(plan, rounds=options.rounds)
    if options.threads is not None:
        plan = replace(plan, threads=options.threads)
    runtime = _runtime(plan)
    fault = runtime.fault(plan)
    if fault is not None:
        sys.exit(fault)
    target = Path(options.file or f"{plan.device}.profile.json")
    if not target.resolve().parent.is_dir():
        sys.exit(f"{target}: its folder does not exist")
    try:
        latency = runtime.measure(plan, folder, read_feeds(folder), _report)
    except KeyboardInterrupt:
        print("interrupted; nothing was written", file=sys.stderr)
        sys.exit(_INTERRUPTED)
    except Exception as exc:  # noqa: BLE001  the runtime's exceptions share no base class
        sys.exit(f"{runtime.version} cannot measure the models: {exc}")
    record = {"format": FORMAT, "device": plan.device, "latency": asdict(latency)}
    aside = target.with_name(f".{target.name}.tmp")
    aside.write_text(json.dumps(record, indent=1) + "\n")
    aside.replace(target)  # whole or not at all
    print(f"written to {target}: name it as `profile` of device {plan.device} in the scenario")


def _runtime(plan: MeasurementPlan) -> BundleRuntime:
    """Return the runtime that a bundle is for; nothing of another one is imported.

    Raises
    ------
    SystemExit
        Saying what to install, if it is not here.
    """
    found = _LITERT if plan.provider == XNNPACK else _ONNX_RUNTIME
    try:
        runtime: BundleRuntime = import_module(found.module).RUNTIME
    except ImportError as exc:
        sys.exit(f"this bundle is for {found.name} ({exc}): python3 -m pip install {found.package} numpy")
    return runtime


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=SCRIPT, description="Measure the models beside this script.")
    parser.add_argument("file", nargs="?", help="profile to write; default DEVICE.profile.json")
    parser.add_argument(
        "--rounds",
        type=_count_up_to(MOST_ROUNDS),
        metavar="N",
        help="runs of each model, 0 for as many as its size asks for; default: as the bundle was written for",
    )
    parser.add_argument(
        "--threads",
        type=_count_up_to(MOST_THREADS, 1),
        metavar="N",
        help="threads of the runtime; default: as the bundle was written for",
    )
    return parser.parse_args(arguments)


def _count_up_to(most: int, least: int = 0) -> Callable[[str], int]:
    def count(text: str) -> int:
        if not (text.isdecimal() and least <= int(text) <= most):
            raise argparse.ArgumentTypeError(f"{text} is no whole number from {least} to {most}")
        return int(text)

    return count


def _report(what: str, done: int, total: int) -> None:
    print(f"{what}: {done} of {total}", file=sys.stderr)
