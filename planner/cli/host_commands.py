"""What the commands do with several hosts: deploy a plan, send requests, look who is there."""

import logging
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from planner.cli.exit_codes import BAD_INPUT, OK
from planner.cli.interrupts import INTERRUPT
from planner.cli.terminal import print_text, terminal
from planner.cli.terminal_progress import terminal_progress
from planner.errors import HostError, UsageError
from planner.json_record import to_json
from profiling.printable_text import shown

if TYPE_CHECKING:
    from planner.hosts.request_client import RequestClient
    from planner.plan.host_status import HostStatus

_STATUS_DEADLINE_S, _WATCH_S = 5.0, 1.0
_MOST_PER_S, _LONGEST_S = 1e6, 3600.0
_LOG = logging.getLogger(__name__)
_EXTRA = "needs the extra: pip install 'splitquant[hosts]'"


def deploy_plan(folder: Path, out: Path, hosts: tuple[str, ...], *, keys: bool, insecure: bool) -> int:
    """Write a folder for each host, and say how to start them."""
    from planner.hosts.deploy import deploy
    from planner.hosts.endpoints import parse_endpoints

    record = deploy(folder, out, parse_endpoints(hosts), keys=keys, insecure=insecure)
    if insecure and not keys:
        _LOG.warning("without keys, anybody who reaches a host can send it tensors and read what it sends")
    for host in record.hosts:
        where = f"{host.address}:{host.port}"
        print_text(
            shown(f"{host.device}: copy {out / host.device}, then: python serve.py  (listens at {where})")
        )
    print_text(shown(f"then: plan request {out} --input samples.npz --output answers.npz"))
    return OK


def send_requests(
    folder: Path,
    input_file: Path,
    output_file: Path | None,
    rate_per_s: float | None,
    deadline_s: float,
    *,
    json: bool,
) -> int:
    """Send samples through running hosts, write their answers, and say what they took."""
    from planner.hosts.measure_requests import clock_offsets, requests_record, send_all
    from planner.output.plan_folder import read_plan
    from planner.output.run_exported import check_target, stacked_outputs, write_arrays
    from planner.output.run_input import read_run_input
    from planner.report.requests_table import requests_table

    _check_positive("--rate", rate_per_s, _MOST_PER_S)
    _check_positive("--deadline-s", deadline_s, _LONGEST_S)
    if output_file is not None:
        check_target(output_file)
    INTERRUPT.arm()
    with _client(folder, deadline_s) as client:
        own = folder / client.deployment.plans[0].folder
        ports = client.manifests[0].inputs
        run_input = read_run_input(input_file, ports, [port.name for port in ports], own)
        client.source_offset_s()  # a source that is not there is told before anything is sent
        with terminal_progress() as progress:
            began = time.monotonic()
            ended = []
            for one in send_all(client, run_input.samples, progress, rate_per_s):
                ended.append(one)
                INTERRUPT.check()
            seconds = time.monotonic() - began
        record, _ = requests_record(client, read_plan(own), ended, seconds, clock_offsets(client))
        names = [port.name for port in client.manifests[0].outputs]
    answers = [one.answer for one in ended]
    if output_file is not None and all(answers):
        rows = [answer.outputs for answer in answers if answer is not None]
        write_arrays(output_file, stacked_outputs(rows, names, run_input))
    if json:
        print_text(to_json(record))
    else:
        terminal().print(requests_table(record))
    if record.failures:
        what = "" if output_file is None else f"; {output_file} was not written"
        return _failed(f"{record.requests - record.answered} requests have no answer{what}")
    if output_file is not None and not json:
        print_text(shown(f"{', '.join(names)} written to {output_file}"))
    return OK


def show_hosts(folder: Path, *, json: bool, watch: bool) -> int:
    """Show who is there; with `watch` until interrupted."""
    from rich.live import Live

    from planner.report.requests_table import hosts_table

    with _client(folder, _STATUS_DEADLINE_S) as client:
        statuses = _statuses(client)
        if json:
            print_text(to_json({"hosts": dict(statuses)}))
        elif not watch:
            terminal().print(hosts_table(statuses))
        else:
            INTERRUPT.arm()
            with Live(hosts_table(statuses), console=terminal(), auto_refresh=False) as live:
                while True:
                    time.sleep(_WATCH_S)
                    INTERRUPT.check()
                    live.update(hosts_table(_statuses(client)), refresh=True)
    missing = [name for name, status in statuses if status is None]
    return _failed(f"not there: {', '.join(missing)}; start serve.py on each") if missing else OK


def _statuses(client: "RequestClient") -> list[tuple[str, "HostStatus | None"]]:
    statuses: list[tuple[str, HostStatus | None]] = []
    for host in client.deployment.hosts:
        status = None
        with suppress(HostError):
            status = client.status(host.device)
        statuses.append((host.device, status))
    return statuses


def _client(folder: Path, deadline_s: float) -> "RequestClient":
    try:
        from planner.hosts.request_client import RequestClient
    except ImportError as exc:
        raise UsageError(f"talking to hosts {_EXTRA}") from exc
    return RequestClient(folder, deadline_s)


def _check_positive(option: str, value: float | None, most: float) -> None:
    if value is not None and not 0 < value <= most:
        raise UsageError(f"{option}: must be > 0 and at most {most:g}")


def _failed(text: str) -> int:
    _LOG.error(text)
    return BAD_INPUT
