"""Opens and runs a stage, in the runtime that it was planned with: ONNX Runtime here, or LiteRT's module."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, Callable, Protocol

import numpy as np

from planner.hosts.on_host.host_manifest import HostedPlan, HostedStage, HostManifestError, RuntimeSpec
from planner.hosts.on_host.litert_stage import LitertStage
from planner.hosts.on_host.messages import TensorSpec

_AWAKE_S = 2e-4  # before the end of a paced stage: sleeping ends some 0.1 ms late
_ONNX_TYPES = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    **{f"tensor({name})": name for name in ("float16", "bool")},
    **{f"tensor({sign}int{bits})": f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)},
}


class StageRuntime(Protocol):
    """One open stage."""

    def run(self, feeds: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return output name -> array for one sample."""


class OnnxRuntimeStage:
    """A stage in ONNX Runtime, with the session options that the plan was measured with.

    Raises
    ------
    HostManifestError
        If the runtime or its provider is missing, or the file's inputs and outputs are not those of the
        manifest.
    """

    def __init__(self, folder: Path, stage: HostedStage, runtime: RuntimeSpec) -> None:
        import onnxruntime as ort

        from profiling.on_device.create_session import session_options

        path = folder / stage.files[0].file
        if runtime.provider not in ort.get_available_providers():
            raise HostManifestError(f"{runtime.name} here has no {runtime.provider}, which the plan needs")
        options = session_options(runtime.threads)
        try:
            # Without falling back to the CPU, which would be slower than planned and say so nowhere.
            self._session = ort.InferenceSession(
                str(path), options, providers=[runtime.provider], enable_fallback=0
            )
        except Exception as exc:  # the runtime's own exceptions have no common class
            raise HostManifestError(f"{path}: {runtime.name} cannot open it: {exc}") from exc
        for what, ends, specs in (
            ("inputs", self._session.get_inputs(), stage.inputs),
            ("outputs", self._session.get_outputs(), stage.outputs),
        ):
            if _specs(ends) != sorted(specs, key=_name):
                raise HostManifestError(f"{path}: its {what} are not those of the manifest; deploy again")
        self._outputs = [spec.name for spec in stage.outputs]

    def run(self, feeds: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return output name -> array for one sample."""
        return dict(zip(self._outputs, self._session.run(self._outputs, dict(feeds))))


class PacedStage:
    """A stage that takes as long as the plan says of its device, where this machine is quicker.

    Parameters
    ----------
    planned_s
        Seconds of the stage by the plan.
    """

    def __init__(self, stage: StageRuntime, planned_s: float) -> None:
        self._stage, self._planned_s = stage, planned_s

    def run(self, feeds: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return output name -> array for one sample."""
        ends_s = time.perf_counter() + self._planned_s
        outputs = self._stage.run(feeds)
        time.sleep(max(0.0, ends_s - time.perf_counter() - _AWAKE_S))
        while time.perf_counter() < ends_s:
            pass
        return outputs


ONNX_RUNTIME, LITERT = "onnxruntime", "ai-edge-litert"
_RUNTIMES: Mapping[str, Callable[[Path, HostedStage, RuntimeSpec], StageRuntime]] = {
    ONNX_RUNTIME: OnnxRuntimeStage,
    LITERT: LitertStage,
}


def version_difference(runtime: RuntimeSpec) -> str | None:
    """Return in which way the runtime here is not the version that was planned with, and what to do; or None.

    Raises
    ------
    HostManifestError
        If the runtime is not one of ours, or not installed.
    """
    here = _installed_version(runtime.name)
    if here == runtime.version:
        return None
    return (
        f"{runtime.name} {here} is installed, planned was {runtime.version}: pip install -r requirements.txt"
    )


def open_stages(
    folder: Path, plans: Sequence[HostedPlan], runtime: RuntimeSpec
) -> dict[tuple[int, int], StageRuntime]:
    """Return (plan's index, stage's number) -> its stage; those of equal files are opened once.

    Raises
    ------
    HostManifestError
        As `open_stage`.
    """
    by_content: dict[tuple[str, ...], StageRuntime] = {}
    opened: dict[tuple[int, int], StageRuntime] = {}
    for index, plan in enumerate(plans):
        for stage in plan.stages:
            content = tuple(file.sha256 for file in stage.files)
            if content not in by_content:
                by_content[content] = open_stage(folder, stage, runtime)
            opened[index, stage.number] = by_content[content]
    return opened


def paced_stages(
    opened: Mapping[tuple[int, int], StageRuntime], plans: Sequence[HostedPlan]
) -> dict[tuple[int, int], PacedStage]:
    """Return (plan's index, stage's number) -> its stage, no quicker than planned."""
    return {
        (index, stage.number): PacedStage(opened[index, stage.number], stage.planned_s)
        for index, plan in enumerate(plans)
        for stage in plan.stages
    }


def open_stage(folder: Path, stage: HostedStage, runtime: RuntimeSpec) -> StageRuntime:
    """Return a stage that has run once on zeros, so that its first request is as quick as the others.

    Raises
    ------
    HostManifestError
        If it cannot be opened or run.
    """
    opened = _RUNTIMES[runtime.name](folder, stage, runtime)
    zeros = {spec.name: np.zeros(spec.shape, dtype=spec.dtype) for spec in stage.inputs}
    try:
        opened.run(zeros)
    except Exception as exc:  # see above
        raise HostManifestError(f"{stage.files[0].file}: does not run: {exc}") from exc
    return opened


def _installed_version(name: str) -> str:
    if name not in _RUNTIMES:
        raise HostManifestError(f"no runtime {name!r} here; this serves stages of {', '.join(_RUNTIMES)}")
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError as exc:
        raise HostManifestError(f"{name} is not installed: pip install -r requirements.txt") from exc


def _name(spec: TensorSpec) -> str:
    return spec.name


def _specs(ends: Sequence[Any]) -> list[TensorSpec]:
    specs = [TensorSpec(end.name, _ONNX_TYPES.get(end.type, end.type), tuple(end.shape)) for end in ends]
    return sorted(specs, key=_name)
