"""Writes a folder per host: stages, the code that serves them, the engine's configuration, keys.

DEPLOY/deploy.json, README.md
DEPLOY/camera/    copied to the camera: serve.py, host.json, zenoh.json5, stages/, keys/, requirements.txt ...
DEPLOY/client/    for who asks, beside the source
"""

import hashlib
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import msgspec
import networkx as nx

from planner.errors import OutputError, UsageError
from planner.hosts.deployment_record import DEPLOYMENT, DeployedHost, DeployedPlan, Deployment
from planner.hosts.endpoints import Endpoint, check_encryptable, with_defaults
from planner.hosts.host_files import HOST_CODE, README, HostTexts, write_code, write_readme, write_texts
from planner.hosts.hosted_stages import (
    HASH_LETTERS,
    copy_stage,
    planned_runtime,
    planned_seconds,
)
from planner.hosts.on_host.host_manifest import (
    FORMAT,
    MANIFEST,
    NETWORK,
    HostedPlan,
    HostManifest,
)
from planner.hosts.on_host.messages import CLIENT_PREFIX
from planner.hosts.plans_to_deploy import (
    ALL_PLANS,
    PlansToDeploy,
    PlanToDeploy,
    Selection,
    raw_inputs,
    read_plans,
)
from planner.hosts.routing import PlanRoutes, next_hops, spec_of
from planner.hosts.zenoh_config import CLIENT, CLIENT_PATTERN, KEYS, access_control, host_config
from planner.output.atomic_folder import atomic_directory, check_replaceable, list_files
from planner.plan.manifest import MANIFEST as PLAN_MANIFEST
from planner.plan.manifest import SCENARIO, StageEntry
from planner.plan.plan_record import FORMAT as PLAN_FORMAT
from profiling.records.json_files import save_json

_MOST_REQUESTS = 16


def deploy(
    folder: Path,
    target: Path,
    given: Mapping[str, Endpoint],
    *,
    keys: bool = False,
    insecure: bool = False,
    which: Selection = ALL_PLANS,
) -> Deployment:
    """Write a folder for each host that a plan uses, replacing an older deployment.

    Parameters
    ----------
    folder
        Of a plan, or of a comparison that holds plans: all of them are deployed. Or a scenario's file: then
        hosts serve nothing, and their links can be measured.
    given
        Where hosts listen; the others do on this machine.
    keys
        Make a private certificate authority, and keys for all hosts.
    insecure
        Let hosts listen beyond this machine without keys.
    which
        Of the plans that a comparison holds.

    Raises
    ------
    OutputError
        If the folder holds no plan, or not this one, or the target cannot be written.
    UsageError
        If an endpoint does not fit, or hosts would be open to everybody.
    """
    # Folders have the devices' names; what may be replaced is listed with its hash.
    names = {path.name for path in target.iterdir()} if target.is_dir() else set()
    check_replaceable(target, f"--out {target}", "deployment", names, DEPLOYMENT)
    writer = _Writer(read_plans(folder, which), given, keys=keys)
    writer.check_openness(insecure=insecure)
    with atomic_directory(target, f"--out {target}") as fresh:
        writer.write(fresh)
    return writer.record


def used_devices(folder: Path) -> list[str]:
    """Return the devices that `deploy` would write a folder for.

    Raises
    ------
    OutputError, UsageError
        As `deploy` does.
    """
    return _Writer(read_plans(folder), {}, keys=False).devices


class _Writer:
    """One deployment."""

    def __init__(
        self,
        together: PlansToDeploy,
        given: Mapping[str, Endpoint],
        *,
        keys: bool,
    ) -> None:
        scenario, plans = together.scenario, together.plans
        self._together, self._plans, self._scenario, self._keys = together, plans, scenario, keys
        for name in (device.name for device in scenario.devices):
            if name in (CLIENT, DEPLOYMENT, README) or name.startswith(CLIENT_PREFIX):
                raise UsageError(f"a device is called {name!r}, as clients or files beside it are: rename it")
        links: nx.DiGraph = nx.DiGraph((link.source, link.target) for link in scenario.links)
        self._routes = [PlanRoutes(plan.stages, links) for plan in plans]
        self._hops = {hop for routes in self._routes for hop in routes.hops()}
        if not plans:
            self._hops = set(links.edges)
        # Who asks is beside the source and gets its answers there.
        self._hops |= self._way_back(links)
        used = {scenario.source}.union(*(routes.devices() for routes in self._routes), *self._hops)
        self.devices = [device.name for device in scenario.devices if device.name in used]
        self.endpoints = with_defaults(given, self.devices)
        self.deployment = self._hash()
        self.record = self._record()

    def _way_back(self, links: nx.DiGraph) -> set[tuple[str, str]]:
        """Return hops that bring answers from the sink to the source, if no others do."""
        source, sink = self._scenario.source, self._scenario.sink
        connected: nx.Graph = nx.Graph(self._hops)
        connected.add_nodes_from([source, sink])
        if nx.has_path(connected, sink, source):
            return set()
        try:
            path = nx.shortest_path(links, sink, source)
        except (nx.NetworkXNoPath, nx.NodeNotFound) as exc:
            raise OutputError(f"there is no way for answers from {sink} to {source}") from exc
        return set(itertools.pairwise(path))

    def check_openness(self, *, insecure: bool) -> None:
        """Refuse hosts that would take tensors from everybody, or whose keys could not be checked.

        Raises
        ------
        UsageError
            Naming the first such host.
        """
        for name, endpoint in self.endpoints.items():
            if self._keys:
                check_encryptable(name, endpoint)
            if not (endpoint.is_loopback or self._keys or insecure):
                raise UsageError(
                    f"--host {name}={endpoint.address}: anybody there could send it tensors; add --keys "
                    "(or --insecure, in a network that nobody else can reach)"
                )

    def _hash(self) -> str:
        """Return a hash of everything that hosts have to agree on."""
        content = [[plan.name, msgspec.json.encode(plan.stages).decode()] for plan in self._plans] + [
            [name, endpoint.address] for name, endpoint in self.endpoints.items()
        ]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:HASH_LETTERS]

    def _record(self) -> Deployment:
        counts = {name: sum(len(self._stages(plan, name)) for plan in self._plans) for name in self.devices}
        return Deployment(
            format=PLAN_FORMAT,
            deployment=self.deployment,
            source=self._scenario.source,
            sink=self._scenario.sink,
            encrypted=self._keys,
            most_requests=_MOST_REQUESTS,
            hosts=tuple(
                DeployedHost(device=name, address=end.host, port=end.port, stages=counts[name])
                for name, end in self.endpoints.items()
            ),
            plans=tuple(
                DeployedPlan(
                    name=plan.name,
                    folder=f"{CLIENT}/plans/{number:02d}",
                    range=plan.range,
                    costs=plan.costs,
                )
                for number, plan in enumerate(self._plans)
            ),
            followed=self._together.followed,
            raw_inputs=raw_inputs(self._plans),
        )

    def write(self, fresh: Path) -> None:
        """Write all folders."""
        for name in self.devices:
            self._write_host(fresh / name, name)
        self._write_client(fresh)
        if self._keys:
            self._write_keys(fresh)
        for name in self.devices:
            write_texts(fresh / name, self._texts(name))
        write_readme(fresh, self.deployment, self._readme_lines())
        save_json(self.record, fresh / DEPLOYMENT)
        list_files(fresh, DEPLOYMENT)

    def _write_host(self, folder: Path, name: str) -> None:
        folder.mkdir()
        hosted = []
        for plan, routes in zip(self._plans, self._routes, strict=True):
            planned_s = planned_seconds(plan.stages.stages, plan.costs.compute_s)
            stages = {
                stage.number: copy_stage(self._together.folder, folder, stage, planned_s[stage.number])
                for stage in self._stages(plan, name)
            }
            hosted.append(routes.hosted(name, plan.name, stages))
        manifest = HostManifest(
            deployment=self.deployment,
            device=name,
            source=self._scenario.source,
            devices=tuple(self.devices),
            neighbours=tuple(self._neighbours(name)),
            next_hop=next_hops(self._hops, name) if self._hops else {},
            most_requests=_MOST_REQUESTS,
            runtime=planned_runtime(self._scenario, name) if any(plan.stages for plan in hosted) else None,
            plans=tuple(hosted),
        )
        fields = asdict(manifest) | {"format": FORMAT, "plans": [_plan_fields(plan) for plan in hosted]}
        (folder / MANIFEST).write_text(json.dumps(fields, indent=1) + "\n", encoding="utf-8")
        write_code(folder, HOST_CODE)
        others = {other: other for other in self._neighbours(name)}
        if name == self._scenario.source:
            others[CLIENT] = CLIENT_PATTERN
        self._write_network(folder, name, name, self.endpoints[name], others, self._calls(name))

    def _write_client(self, fresh: Path) -> None:
        folder = fresh / CLIENT
        for deployed, plan in zip(self.record.plans, self._plans, strict=True):
            own = fresh / deployed.folder
            own.mkdir(parents=True)
            save_json(plan.stages, own / PLAN_MANIFEST)
        folder.mkdir(exist_ok=True)
        (folder / SCENARIO).write_bytes(self._together.scenario_text)
        source = self._scenario.source
        self._write_network(folder, CLIENT, CLIENT_PATTERN, None, {source: source}, [source])

    def _write_network(
        self,
        folder: Path,
        name: str,
        pattern: str,
        listen: Endpoint | None,
        others: Mapping[str, str],
        connect: Sequence[str],
    ) -> None:
        rules = access_control(pattern, self.deployment, others) if self._keys else None
        endpoints = [self.endpoints[other] for other in connect]
        config = host_config(name, listen, endpoints, self._largest_bytes(), rules)
        (folder / NETWORK).write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")

    def _write_keys(self, fresh: Path) -> None:
        try:
            from planner.hosts.certificates import CertificateAuthority
        except ImportError as exc:
            raise UsageError("--keys needs the extra: pip install 'splitquant[hosts]'") from exc
        authority = CertificateAuthority()
        for name, endpoint in self.endpoints.items():
            authority.issue(fresh / name / KEYS, name, endpoint.host)
        authority.issue(fresh / CLIENT / KEYS, CLIENT, CLIENT)

    def _stages(self, plan: PlanToDeploy, device: str) -> list[StageEntry]:
        return [stage for stage in plan.stages.stages if stage.device == device]

    def _neighbours(self, name: str) -> list[str]:
        others = {b if a == name else a for a, b in self._hops if name in (a, b)}
        return sorted(others)

    def _calls(self, name: str) -> list[str]:
        """Return the neighbours that a host connects to: the scenario names them later."""
        order = {device: index for index, device in enumerate(self.devices)}
        return [other for other in self._neighbours(name) if order[other] > order[name]]

    def _largest_bytes(self) -> int:
        ports = [
            port
            for plan in self._plans
            for stage in plan.stages.stages
            for port in (*stage.inputs, *stage.outputs)
        ]
        return max((spec_of(port).size_bytes for port in ports), default=0)

    def _texts(self, name: str) -> HostTexts:
        runs = any(self._stages(plan, name) for plan in self._plans)
        runtime = planned_runtime(self._scenario, name).name if runs else None
        return HostTexts(name, self.endpoints[name], runtime, self.deployment, self._keys)

    def _readme_lines(self) -> list[str]:
        counts = {host.device: host.stages for host in self.record.hosts}
        return [
            f"- `{name}/` belongs on {name} ({end.address}): {counts[name] or 'no'} stage(s)"
            for name, end in self.endpoints.items()
        ]


def _plan_fields(plan: HostedPlan) -> dict[str, object]:
    fields = asdict(plan) | {"tensors": [asdict(tensor) for tensor in plan.tensors.values()]}
    del fields["numbers"]
    return fields | {"names": sorted(plan.numbers, key=plan.numbers.__getitem__)}  # numbers are places in it
