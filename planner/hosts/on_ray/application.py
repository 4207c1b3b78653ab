"""The Ray Serve application of this folder: `serve run --working-dir . serve_config.yaml`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ray import serve
from ray.exceptions import RayError, RayTaskError
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from planner.hosts.on_host.host_manifest import HostManifestError, check_files
from planner.hosts.on_host.messages import BadMessageError, checked_array
from planner.hosts.on_host.stage_runtime import open_stage, version_difference
from planner.hosts.on_ray.application_manifest import (
    ApplicationManifest,
    PlacedStage,
    read_application,
    resource_of,
)
from planner.hosts.on_ray.npz_arrays import arrays_of, most_bytes, npz_of

_FOLDER = Path(__file__).resolve().parent
_INGRESS = "ingress"
_OF_A_DEVICE = 0.001  # of its resource: it says where a replica runs, not how many do
_OK, _BAD, _FAILED, _AWAY = 200, 400, 500, 503


class StageError(Exception):
    """A stage that gave no outputs; the message says why."""


class Stage:
    """A replica of one stage, on a node that is its device; it runs one request at a time, as was planned.

    Raises
    ------
    HostManifestError
        If a file here is not the one that was deployed, or the runtime not the one that was planned with.
    """

    def __init__(self, placed: PlacedStage) -> None:
        check_files(_FOLDER, placed.stage)
        difference = version_difference(placed.runtime)
        if difference is not None:
            raise HostManifestError(difference)
        self._name, self._stage = placed.deployment, placed.stage
        self._runtime = open_stage(_FOLDER, placed.stage, placed.runtime)
        self._thread = ThreadPoolExecutor(1)

    async def run(self, *given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return output name -> array.

        Parameters
        ----------
        given
            Input name -> array, together all that the stage reads, and maybe more.

        Raises
        ------
        StageError
            If it cannot run on them.
        """
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._outputs, given)

    def _outputs(self, given: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
        arrays = {name: array for some in given for name, array in some.items()}
        try:
            feeds = {spec.name: checked_array(arrays.get(spec.name), spec) for spec in self._stage.inputs}
            outputs = self._runtime.run(feeds)
            return {spec.name: checked_array(outputs[spec.name], spec) for spec in self._stage.outputs}
        except Exception as exc:  # noqa: BLE001 (the runtime's own have no common class)
            # Who asks may not have the runtime, and so not its exceptions.
            raise StageError(f"{self._name} failed: {exc}") from None


class Ingress:
    """Takes requests, as named arrays or as .npz over HTTP, and leads them through the stages."""

    def __init__(self, manifest: ApplicationManifest, *stages: Any) -> None:
        self._manifest, self._stages = manifest, stages
        self._most_bytes = most_bytes(manifest.inputs)

    async def answer(self, feeds: Mapping[str, Any]) -> dict[str, Any]:
        """Return output name -> array for one sample.

        What stages give goes from replica to replica by reference, not through here. References to single
        tensors would let each stage fetch only what it reads, but Ray Serve drops what a response refers to.

        Raises
        ------
        BadMessageError
            If an input is missing, has another type or shape, or holds NaN.
        StageError
            If a stage fails; Ray raises its own errors where a replica is lost.
        """
        inputs = {spec.name: checked_array(feeds.get(spec.name), spec) for spec in self._manifest.inputs}
        givers: dict[str, Any] = {}  # tensor -> the response that will hold it
        for placed, handle in zip(self._manifest.stages, self._stages):
            names = [spec.name for spec in placed.stage.inputs]
            own = {name: inputs[name] for name in names if name in inputs}
            others = {id(givers[name]): givers[name] for name in names if name not in own}
            response = handle.run.remote(own, *others.values())
            for spec in placed.stage.outputs:
                givers.setdefault(spec.name, response)
        names = [spec.name for spec in self._manifest.outputs]
        return {name: inputs[name] if name in inputs else (await givers[name])[name] for name in names}

    async def __call__(self, request: Request) -> Response:
        """Answer an .npz of the inputs with an .npz of the outputs."""
        try:
            outputs = await self.answer(arrays_of(await self._body(request), self._manifest.inputs))
        except BadMessageError as exc:
            return PlainTextResponse(f"{exc}\n", _BAD)
        except StageError as exc:
            return PlainTextResponse(f"{exc.cause if isinstance(exc, RayTaskError) else exc}\n", _FAILED)
        except RayError as exc:
            return PlainTextResponse(f"a stage was lost, ask again: {type(exc).__name__}\n", _AWAY)
        return Response(npz_of(outputs), _OK, media_type="application/octet-stream")

    async def _body(self, request: Request) -> bytes:
        body = bytearray()
        async for piece in request.stream():
            body += piece
            if len(body) > self._most_bytes:
                raise BadMessageError(f"more than {self._most_bytes} bytes")
        return bytes(body)


def build(args: Mapping[str, str]) -> serve.Application:
    """Return the application that the manifest beside this file describes.

    Raises
    ------
    HostManifestError
        If it is another one than the configuration is of: as long as Serve runs, Ray keeps its first folder.
    """
    manifest = read_application(_FOLDER)
    if args.get("deployment") != manifest.deployment:
        raise HostManifestError(
            f"{_FOLDER}: holds deployment {manifest.deployment}, and {args.get('deployment')} is asked for: "
            "shut Serve down, then start it with --working-dir naming the folder of serve_config.yaml"
        )
    stages = [
        _deployment(Stage, one.deployment, one.device, num_cpus=one.cpus, num_gpus=one.gpus).bind(one)
        for one in manifest.stages
    ]
    return _deployment(Ingress, _INGRESS, manifest.source, num_cpus=0).bind(manifest, *stages)


def _deployment(kind: type, name: str, device: str, **reserved: float) -> serve.Deployment:
    options = {"resources": {resource_of(device): _OF_A_DEVICE}, **reserved}
    return serve.deployment(name=name, ray_actor_options=options)(kind)
