"""A bundle: the models of a measurement plan as files, and the command that measures them where they lie."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Callable

import numpy as np
import onnxruntime as ort

from profiling.on_device.create_session import Feeds, create_session, session_options, trace_into
from profiling.on_device.measurement_order import (
    FORMAT,
    MOST_ROUNDS,
    MOST_THREADS,
    MeasurementPlan,
    PlannedUnit,
    SwitchTensor,
    WireModel,
)
from profiling.on_device.measuring_flow import measure

SCRIPT = "measure.py"
ORDER, FEEDS, PROBE, MODELS = "order.json", "feeds.npz", "probe.onnx", "models"
_INTERRUPTED = 130  # what shells return for SIGINT


def plain_file(variant: int) -> str:
    """Return where a variant lies in a bundle."""
    return f"{MODELS}/{variant:02d}.onnx"


def tagged_file(variant: int) -> str:
    """Return where a variant with tagged names lies in a bundle."""
    return f"{MODELS}/{variant:02d}-tagged.onnx"


def stage_file(variant: int, number: int) -> str:
    """Return where a stage of a variant lies in a bundle."""
    return f"{MODELS}/{variant:02d}-stage-{number:02d}.onnx"


def wire_file(number: int) -> str:
    """Return where a model that encodes or decodes lies in a bundle."""
    return f"{MODELS}/wire-{number:02d}.onnx"


class BundleSessions:
    """Opens the models of a bundle.

    Parameters
    ----------
    folder
        The bundle.
    """

    def __init__(self, folder: Path, plan: MeasurementPlan) -> None:
        self._folder = folder
        self._plan = plan

    def plain(self, variant: int) -> ort.InferenceSession:
        return self._open(plain_file(variant))

    def traced(self, variant: int, profile: Path, optimized: Path) -> ort.InferenceSession:
        return self._open(tagged_file(variant), profile, optimized)

    def stage(self, variant: int, number: int) -> ort.InferenceSession:
        return self._open(stage_file(variant, number))

    def overflow_probe(self) -> ort.InferenceSession:
        return self._open(PROBE)

    def wire(self, number: int) -> ort.InferenceSession:
        return self._open(wire_file(number))

    def _open(
        self, file: str, profile: Path | None = None, optimized: Path | None = None
    ) -> ort.InferenceSession:
        options = session_options(self._plan.threads)
        trace_into(options, profile, optimized)
        return create_session(str(self._folder / file), options, self._plan.provider)


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
    if plan.provider not in ort.get_available_providers():
        available = ", ".join(ort.get_available_providers())
        sys.exit(f"this ONNX Runtime has no {plan.provider}; it has {available}")
    target = Path(options.file or f"{plan.device}.profile.json")
    if not target.resolve().parent.is_dir():
        sys.exit(f"{target}: its folder does not exist")
    try:
        latency = measure(plan, BundleSessions(folder, plan), read_feeds(folder), _report)
    except KeyboardInterrupt:
        print("interrupted; nothing was written", file=sys.stderr)
        sys.exit(_INTERRUPTED)
    except Exception as exc:  # noqa: BLE001  the runtime's exceptions share no base class
        sys.exit(f"ONNX Runtime {ort.__version__} cannot measure the models: {exc}")
    record = {"format": FORMAT, "device": plan.device, "latency": asdict(latency)}
    aside = target.with_name(f".{target.name}.tmp")
    aside.write_text(json.dumps(record, indent=1) + "\n")
    aside.replace(target)  # whole or not at all
    print(f"written to {target}: name it as `profile` of device {plan.device} in the scenario")


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
