"""A bundle for ONNX Runtime: where its models lie, and what opens and measures them."""

from __future__ import annotations

from pathlib import Path

import onnxruntime as ort

from profiling.on_device.create_session import create_session, session_options, trace_into
from profiling.on_device.device_main import MODELS
from profiling.on_device.latency_record import LatencyRecord
from profiling.on_device.measurement_order import MeasurementPlan
from profiling.on_device.measuring_flow import measure
from profiling.on_device.runtime_session import Feeds, Report

PROBE = "probe.onnx"


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


class OnnxRuntimeBundle:
    """ONNX Runtime, and how its bundles are measured."""

    @property
    def version(self) -> str:
        """Its name and version."""
        return f"ONNX Runtime {ort.__version__}"

    def fault(self, plan: MeasurementPlan) -> str | None:
        """Return that the plan's provider is missing, if so."""
        available = ort.get_available_providers()
        if plan.provider in available:
            return None
        return f"this ONNX Runtime has no {plan.provider}; it has {', '.join(available)}"

    def measure(self, plan: MeasurementPlan, folder: Path, feeds: Feeds, report: Report) -> LatencyRecord:
        """Return the record of the models in a bundle."""
        return measure(plan, BundleSessions(folder, plan), feeds, report)


RUNTIME = OnnxRuntimeBundle()
