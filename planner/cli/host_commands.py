"""What the commands do with several hosts: deploy a plan, send requests, look who is there."""

import logging
import shlex
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from planner.cli.exit_codes import BAD_INPUT, BROKEN_BUDGET, INFEASIBLE, OK
from planner.cli.process.interrupts import INTERRUPT
from planner.cli.process.terminal import print_text, terminal
from planner.cli.process.terminal_progress import terminal_progress
from planner.errors import HostError, OutputError, PlannerError, UsageError
from planner.formatting import counted
from planner.hosts.zenoh_config import CLIENT
from planner.json_record import to_json
from planner.plan.manifest import SCENARIO
from planner.report.tables.table_style import line
from planner.scenario.loader import load_ready_scenario
from profiling.printable_text import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.text import Text

    from planner.hosts.deployment_record import Deployment
    from planner.hosts.plans_to_deploy import Selection
    from planner.hosts.requests.measure_requests import Ended
    from planner.hosts.requests.request_client import RequestClient
    from planner.hosts.requests.request_times import RequestTimes
    from planner.plan.host_status import HostStatus
    from planner.plan.measured_costs import MeasuredCosts, MeasuredDevice
    from planner.plan.requests_record import RequestsRecord
    from profiling.arrays import Feeds

_STATUS_DEADLINE_S, _WATCH_S = 5.0, 1.0
_PATIENCE_S, _RETRY_S = 3.0, 0.2  # hosts look for each other once a second
_LEAST_PER_S, _MOST_PER_S, _LONGEST_S = 1e-4, 1e6, 3600.0
_LOG = logging.getLogger(__name__)
_UNSEEN = "it runs, and hosts before it do not reach it"
_EXTRA = "needs the extra: pip install 'splitquant[hosts]'"


def deploy_plan(
    folder: Path,
    out: Path,
    hosts: tuple[str, ...],
    *,
    keys: bool,
    insecure: bool,
    which: "Selection",
) -> int:
    """Write a folder for each host, and say how to start them."""
    from planner.hosts.deploy import deploy
    from planner.hosts.deployment_record import DEPLOYMENT
    from planner.hosts.endpoints import Endpoint, parse_endpoints
    from planner.report.tables.requests_table import raw_input_lines

    is_there = (out / DEPLOYMENT).is_file()
    record = deploy(folder, out, parse_endpoints(hosts), keys=keys, insecure=insecure, which=which)
    if is_there:
        _LOG.warning("hosts that run serve what %s held before: copy the folders and restart them all", out)
    if insecure and not keys:
        _LOG.warning("without keys, anybody who reaches a host can send it tensors and read what it sends")
    for text in raw_input_lines(record.raw_inputs):
        _LOG.warning(text)
    endpoints = {host.device: Endpoint(host.address, host.port) for host in record.hosts}
    here = [name for name, endpoint in endpoints.items() if endpoint.is_loopback]
    if 0 < len(here) < len(endpoints):
        _LOG.warning(
            "%s: hosts on other machines do not reach it at %s; add --host %s=ADDRESS",
            here[0],
            endpoints[here[0]].host,
            here[0],
        )
    for host in record.hosts:
        where = endpoints[host.device].address
        print_text(
            shown(f"{host.device}: copy {out / host.device}, then: python serve.py  (listens at {where})")
        )
    print_text(shown(f"then: {_first_command(out, record)}"))
    return OK


def _first_command(folder: Path, record: "Deployment") -> str:
    """Return what people do once hosts run, as they can paste it."""
    deployed = shlex.quote(str(folder))
    if not record.plans:
        return f"plan links {deployed} --out links.yaml"
    samples, what = folder / CLIENT / SCENARIO, "the plan's evaluation samples"
    try:
        load_ready_scenario(samples)
    except PlannerError:  # the plan was made elsewhere, or its files have gone since
        samples, what = Path("samples.npz"), "an array for each input"
    command = f"plan request {deployed} --input {shlex.quote(str(samples))} --output answers.npz"
    return f"{command}    # {what}"


def deploy_on_ray(folder: Path, out: Path, options: Sequence[str]) -> int:
    """Write a Ray Serve application, and say how to start it; `options` are for hosts of their own."""
    from planner.hosts.deploy_ray import deploy_ray, ray_resources

    if options:
        if options[0] == "--class":
            raise UsageError("--class: Ray serves one plan, and a class may have several: leave it out")
        if options[0] == "--plan":
            raise UsageError("--plan: Ray serves the folder of one plan: give what plan SCENARIO --out wrote")
        raise UsageError(f"{options[0]}: the nodes of a Ray cluster find each other: leave it out")
    manifest = deploy_ray(folder, out)
    for device, resources in ray_resources(manifest).items():
        print_text(shown(f"{device}: ray start ... --resources='{resources}'"))
    print_text(shown(f"then, in {out}: serve run --working-dir . serve_config.yaml  (see README.md there)"))
    return OK


def send_requests(
    folder: Path,
    input_file: Path,
    output_file: Path | None,
    rate_per_s: float | None,
    deadline_s: float,
    trace_file: Path | None,
    *,
    json: bool,
) -> int:
    """Send samples through running hosts, write their answers, and say what they took."""
    from planner.hosts.requests.measure_requests import clock_offsets, requests_record
    from planner.output.run_exported import (
        answered_outputs,
        check_archive_name,
        check_target,
        refuse_same_file,
        write_arrays,
    )
    from planner.output.run_input import read_run_input

    _check_between("--rate", rate_per_s, _LEAST_PER_S, _MOST_PER_S)
    _check_between("--deadline-s", deadline_s, 0.0, _LONGEST_S)
    check_archive_name(output_file)
    targets = {option: path for option, path in (("--output", output_file), ("--trace", trace_file)) if path}
    for option, path in targets.items():
        check_target(path, option)
        refuse_same_file(path, input_file)
    INTERRUPT.arm()
    with _client(folder, deadline_s) as client:
        client.check_plans()
        own = folder / CLIENT
        ports = client.manifests[0].inputs
        run_input = read_run_input(input_file, ports, [port.name for port in ports], own)
        client.source_offset_s()  # a source that is not there is told before anything is sent
        if client.watch is not None:
            client.watch.refresh()  # so that the first request runs by the right plan
        offsets_s = clock_offsets(client)  # hosts may be gone later
        ended, seconds = _sent(client, run_input.samples, rate_per_s)
        record, times = requests_record(client, ended, seconds, offsets_s | clock_offsets(client))
        if trace_file is not None:
            _write_trace(trace_file, client, times)
        record = _with_measured(folder, client, record)
        names = [port.name for port in client.manifests[0].outputs]
    rows = [None if one.answer is None else one.answer.outputs for one in ended]
    if output_file is not None and record.answered:
        write_arrays(output_file, answered_outputs(rows, names, run_input))
    _tell_requests(record, client, folder, json=json)
    if record.failures:
        return _failed(f"{_unanswered(record, output_file)}; next: plan hosts {shlex.quote(str(folder))}")
    written = {", ".join(names): output_file, "trace for https://ui.perfetto.dev": trace_file}
    for what, target in written.items() if not json else ():
        if target is not None:
            print_text(shown(f"{what} written to {target}"))
    return OK


def _unanswered(record: "RequestsRecord", output_file: Path | None) -> str:
    """Return how many requests have no answer, and what became of the answers of the others."""
    from planner.output.run_exported import SAMPLES

    missing = f"{record.requests - record.answered} of {counted(record.requests, 'request')} have no answer"
    if output_file is None:
        return missing
    if not record.answered:
        return f"{missing}; {output_file} was not written"
    return f"{missing}; {output_file} holds the others, whose numbers are its array {SAMPLES!r}"


def _sent(
    client: "RequestClient", samples: "Sequence[Feeds]", rate_per_s: float | None
) -> "tuple[list[Ended], float]":
    """Send samples and wait for their answers; return how each ended, and the seconds of all."""
    from planner.hosts.requests.measure_requests import send_all

    with terminal_progress() as progress:
        began, ended = time.monotonic(), []
        for one in send_all(client, samples, progress, rate_per_s):
            ended.append(one)
            INTERRUPT.check()
        return ended, time.monotonic() - began


def _tell_requests(record: "RequestsRecord", client: "RequestClient", folder: Path, *, json: bool) -> None:
    """Print what requests took."""
    from planner.hosts.measured_costs import LEAST_REQUESTS
    from planner.report.tables.requests_table import deviation_lines, raw_input_lines, requests_table

    if json:
        print_text(to_json(record))
        return
    texts = raw_input_lines(client.deployment.raw_inputs)
    if 0 < record.answered - record.incomplete_events < LEAST_REQUESTS:
        texts.append(f"fewer than {LEAST_REQUESTS} requests do not tell how quick devices are")
    lines = _lines(texts + deviation_lines(record.deviations, str(folder)))
    terminal().print(requests_table(record), *lines, sep="\n")


def _write_trace(path: Path, client: "RequestClient", times: "list[RequestTimes]") -> None:
    """Write requests as Chrome and Perfetto show them; with one plan beside what it predicts."""
    from planner.hosts.requests.request_trace import request_trace
    from profiling.records.json_files import save_json

    is_one = len(client.manifests) == 1
    cuts = client.manifests[0].cuts if is_one else ()
    compute_s = client.deployment.plans[0].costs.compute_s if is_one else {}
    save_json(request_trace(times, cuts, compute_s), path)


def _with_measured(folder: Path, client: "RequestClient", record: "RequestsRecord") -> "RequestsRecord":
    """Keep what requests showed of links and devices, and return the record with what left the plan."""
    from planner.hosts.measured_costs import deviations, kept_devices, measured_devices
    from planner.hosts.replan import read_measured

    try:
        known = read_measured(folder)
    except OutputError:  # of an earlier deployment, or damaged: it is written anew
        known = None
    devices = kept_devices(() if known is None else known.devices, measured_devices(record))
    measured = _measured_costs(client, devices)
    _save_measured(folder, measured)
    found = deviations(measured, client.scenario, client.deployment.followed)
    return msgspec.structs.replace(record, deviations=found)


def _measured_costs(client: "RequestClient", devices: "tuple[MeasuredDevice, ...]" = ()) -> "MeasuredCosts":
    """Return the links as hosts see them, those that nothing showed yet probed, and devices."""
    from planner.hosts.measured_costs import measured_links
    from planner.plan.measured_costs import FORMAT, MeasuredCosts

    statuses = {name: status for name, status in _statuses(client) if status is not None}
    for name, status in statuses.items():
        unseen = tuple(other for other, link in status.links.items() if link.there and not link.bytes_per_s)
        if unseen:
            with suppress(HostError):
                statuses[name] = client.probe(name, unseen)
    return MeasuredCosts(
        format=FORMAT,
        deployment=client.deployment.deployment,
        links=measured_links(client.scenario, statuses),
        devices=devices,
    )


def _save_measured(folder: Path, measured: "MeasuredCosts") -> None:
    from planner.hosts.replan import save_measured

    try:
        save_measured(folder, measured)
    except OSError as exc:
        _LOG.warning("what was measured is not kept for plan replan: %s: %s", folder, exc.strerror)


def measure_links(folder: Path, out: Path | None, *, json: bool) -> int:
    """Measure every connection between hosts, show the links, and write them as YAML."""
    from planner.hosts.measured_costs import measured_links, scenario_as_measured
    from planner.hosts.replan import read_measured
    from planner.plan.measured_costs import FORMAT, MeasuredCosts
    from planner.report.tables.links_table import links_table, links_yaml

    known = read_measured(folder)
    with _client(folder, _STATUS_DEADLINE_S) as client:
        statuses, missing = {}, []
        with terminal_progress() as progress:
            for number, host in enumerate(client.deployment.hosts):
                progress("measuring links", number, len(client.deployment.hosts))
                try:
                    statuses[host.device] = client.probe(host.device)
                except HostError as exc:
                    missing.append(str(exc))
        links = measured_links(client.scenario, statuses)
        scenario, deployment = client.scenario, client.deployment.deployment
    devices = () if known is None else known.devices
    measured = MeasuredCosts(format=FORMAT, deployment=deployment, links=links, devices=devices)
    if links:
        _save_measured(folder, measured)
    changed = scenario_as_measured(scenario, msgspec.structs.replace(measured, devices=()))
    if json:
        print_text(to_json({"links": links}))
    else:
        terminal().print(links_table(scenario.links, links))
    if missing:
        return _failed("; ".join(missing))
    if out is not None:
        out.write_text(links_yaml(changed.links), encoding="utf-8")
        if not json:
            print_text(shown(f"written to {out}, as the links of a scenario"))
    return OK


def replan(folder: Path, out: Path | None, *, json: bool) -> int:
    """Plan again with the costs that hosts measured, and write the new plan."""
    from planner.hosts.replan import measured_scenario
    from planner.output.plan_folder import check_writable, write_outcome
    from planner.output.saved_plan import read_manifest
    from planner.report.tables.plan_tables import plan_table, undelivered_text
    from planner.run import plan_scenario

    target = out or folder.resolve().with_name(f"{folder.resolve().name}-replanned")
    scenario = measured_scenario(folder)
    check_writable(target)
    with terminal_progress() as progress:
        outcome = plan_scenario(scenario, progress)
        INTERRUPT.check()
        if outcome.is_delivered:
            write_outcome(outcome, target)
    if json:
        print_text(to_json(outcome.plan))
    if not outcome.is_delivered:
        return _failed(undelivered_text(outcome), INFEASIBLE if outcome.built is None else BROKEN_BUDGET)
    if not json:
        terminal().print(plan_table(outcome.plan, read_manifest(target)))
        print_text(shown(f"written to {target}; next: {_deploy_again(target, folder)}"))
    return OK


def _deploy_again(plan: Path, folder: Path) -> str:
    """Return the command that deploys another plan where one is deployed, as people can paste it."""
    from planner.hosts.deploy import used_devices
    from planner.hosts.deployment_record import DEPLOYMENT, Deployment
    from planner.hosts.endpoints import Endpoint, with_defaults
    from planner.output.record_files import read_record

    before, used = read_record(folder / DEPLOYMENT, Deployment), used_devices(plan)
    own = {host.device: Endpoint(host.address, host.port) for host in before.hosts if host.device in used}
    words = ["plan", "deploy", str(plan), "--out", str(folder)]
    words += ["--keys"] if before.encrypted else []
    if own != with_defaults({}, used):
        words += [word for name, end in own.items() for word in ("--host", f"{name}={end.address}")]
    is_open = not all(endpoint.is_loopback for endpoint in own.values())
    words += ["--insecure"] if is_open and not before.encrypted else []
    return shlex.join(words)


def show_hosts(folder: Path, *, json: bool, watch: bool) -> int:
    """Show who is there; with `watch` until interrupted."""
    from rich.live import Live

    from planner.report.tables.requests_table import hosts_table

    with _client(folder, _STATUS_DEADLINE_S) as client:
        statuses, source = _statuses(client), client.deployment.source
        if json:
            print_text(to_json({"hosts": dict(statuses)}))
        elif not watch:
            lines = _lines(_deviations_now(folder, client, statuses))
            terminal().print(hosts_table(statuses, source), *lines, sep="\n")
        else:
            INTERRUPT.arm()
            with Live(hosts_table(statuses, source), console=terminal(), auto_refresh=False) as live:
                while True:
                    time.sleep(_WATCH_S)
                    INTERRUPT.check()
                    live.update(hosts_table(_statuses(client), source), refresh=True)
        missing = [name for name, status in statuses if status is None]
        faults = [_absence(client, name, set(missing)) for name in missing]
    return _failed("; ".join(faults)) if faults else OK


def _absence(client: "RequestClient", device: str, missing: set[str]) -> str:
    """Return why a host did not answer: itself, or a host on the way to it."""
    from planner.hosts.routing import missing_before

    hops = {(link.source, link.target) for link in client.scenario.links}
    before = missing_before(hops, client.deployment.source, device, missing)
    if before is not None:
        return f"{device} was not reached: its way leads over {before}"
    return f"{device} is not there: {client.fault(device) or _UNSEEN}"


def _deviations_now(
    folder: Path, client: "RequestClient", statuses: "list[tuple[str, HostStatus | None]]"
) -> list[str]:
    """Return what left the plan: links as hosts see them now, devices as `plan request` saw them last."""
    from planner.hosts.measured_costs import deviations, measured_links
    from planner.hosts.replan import read_measured
    from planner.plan.measured_costs import FORMAT, MeasuredCosts
    from planner.report.tables.requests_table import deviation_lines

    known = read_measured(folder)
    measured = MeasuredCosts(
        format=FORMAT,
        deployment=client.deployment.deployment,
        links=measured_links(client.scenario, {name: one for name, one in statuses if one is not None}),
        devices=() if known is None else known.devices,
    )
    found = deviations(measured, client.scenario, client.deployment.followed)
    return deviation_lines(found, str(folder))


def _statuses(client: "RequestClient") -> list[tuple[str, "HostStatus | None"]]:
    """Return what each host tells of itself; one that has just been started is waited for a little."""
    end_s = time.monotonic() + _PATIENCE_S
    statuses: list[tuple[str, HostStatus | None]] = []
    for host in client.deployment.hosts:
        while (status := _status(client, host.device)) is None and time.monotonic() < end_s:
            time.sleep(_RETRY_S)
        statuses.append((host.device, status))
    return statuses


def _status(client: "RequestClient", device: str) -> "HostStatus | None":
    with suppress(HostError):
        return client.status(device)
    return None


def _client(folder: Path, deadline_s: float) -> "RequestClient":
    try:
        from planner.hosts.requests.request_client import RequestClient
    except ImportError as exc:
        raise UsageError(f"talking to hosts {_EXTRA}") from exc
    return RequestClient(folder, deadline_s)


def _lines(texts: list[str]) -> "Iterator[Text]":
    return map(line, texts)


def _check_between(option: str, value: float | None, least: float, most: float) -> None:
    if value is not None and not (value > 0 and least <= value <= most):
        text = f"at least {least:g}" if least else "> 0"
        raise UsageError(f"{option}: must be {text} and at most {most:g}")


def _failed(text: str, code: int = BAD_INPUT) -> int:
    _LOG.error(text)
    return code
