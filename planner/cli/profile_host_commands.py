"""`plan profile` and a device elsewhere: writes what is copied to it, or measures it over the network."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from planner.cli.exit_codes import OK
from planner.cli.process.interrupts import INTERRUPT
from planner.cli.process.terminal import print_text, terminal
from planner.cli.process.terminal_progress import terminal_progress
from planner.errors import UsageError
from planner.hosts.endpoints import Endpoint, parse_endpoints
from planner.json_record import to_json
from planner.report.tables.table_style import line
from planner.scenario.schema import Scenario
from profiling.printable_text import shown

if TYPE_CHECKING:
    from planner.hosts.device_profiling.profile_client import ProfileClient

_DEADLINE_S, _LONGEST_S = 3600.0, 7 * 86400.0
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class HostOptions:
    """Options that say how a device is reached; None where one was left out."""

    host: str | None = None
    keys: bool = False
    client: Path | None = None
    insecure: bool = False
    deadline_s: float | None = None

    @property
    def names_any(self) -> bool:
        """Whether any was written."""
        return self != HostOptions()

    def endpoint(self, device: str | None) -> tuple[str, Endpoint] | None:
        """Return the device that `--host` names, and where it listens.

        Raises
        ------
        UsageError
            If it names another one than `--device`, or an option needs it.
        """
        if self.host is None:
            if self.names_any:
                raise UsageError(
                    "--keys, --client, --insecure and --deadline-s need --host NAME=ADDRESS[:PORT]"
                )
            return None
        ((name, endpoint),) = parse_endpoints([self.host]).items()
        if device not in (None, name):
            raise UsageError(f"--host {self.host}: names {name}, and --device {device}")
        return name, endpoint


def write_bundle(loaded: Scenario, device: str | None, folder: Path, options: HostOptions) -> int:
    """Write what a device needs to be measured by itself, and say what to do with it."""
    from planner.hosts.device_profiling.profile_bundle import (
        HERE,
        SERVER,
        check_openness,
        client_folder,
        writing_served_bundle,
    )
    from planner.profile_device import bundle_device

    if options.client is not None or options.deadline_s is not None:
        raise UsageError("--bundle measures nothing yet: leave out --client and --deadline-s")
    name, endpoint = options.endpoint(device) or (device or loaded.source, HERE)
    check_openness(name, endpoint, keys=options.keys, insecure=options.insecure)
    if options.insecure and not options.keys:
        _LOG.warning("without keys, anybody who reaches %s can measure it and read its profile", name)
    with (
        terminal_progress() as progress,
        writing_served_bundle(folder, name, endpoint, keys=options.keys) as fresh,
    ):
        bundle_device(loaded, name, fresh, progress)
        INTERRUPT.check()
    print_text(shown(f"bundle for {name} written to {folder}"))
    print_text(shown(f"copy it to the device, run there: python3 {folder.name}/measure.py"))
    print_text(f"then bring {name}.profile.json back and name it as profile of {name} in the scenario")
    ask = f"plan profile SCENARIO --host {name}={endpoint.address}"
    if options.keys:
        ask += f" --client {client_folder(folder)}"
    print_text(shown(f"or run there: python3 {folder.name}/{SERVER}, and here: {ask}"))
    return OK


def measure_on_host(
    loaded: Scenario,
    device: str,
    endpoint: Endpoint,
    options: HostOptions,
    out: Path | None,
    default: str,
    *,
    json: bool,
) -> int:
    """Let a device measure its bundle, and write the profile.

    It goes to `out`, else where the scenario expects it, else to the file `default`.
    """
    from planner.output.run_exported import check_target
    from planner.profile_device import device_of, parse_remote_profile, remote_measurement
    from planner.report.tables.profile_tables import profile_table
    from profiling.records.json_files import writing_aside

    deadline_s = _DEADLINE_S if options.deadline_s is None else options.deadline_s
    if not 0 < deadline_s <= _LONGEST_S:
        raise UsageError(f"--deadline-s: must be > 0 and at most {_LONGEST_S:g}")
    spec = device_of(loaded, device)
    is_named = not spec.is_measured_here
    path = out or Path(str(spec.profile) if is_named else default)
    check_target(path, "--out" if out else f"profile of {device}:")
    with terminal_progress() as progress, _client(device, endpoint, options) as client:
        there = remote_measurement(loaded, device, progress)
        data = client.measure(there.order, deadline_s, progress)
        INTERRUPT.check()
        record = parse_remote_profile(data, f"the profile from {device}", there)
        with writing_aside(path) as aside:
            aside.write_bytes(data)
    if json:
        print_text(to_json(record))
        return OK
    console = terminal()
    console.print(profile_table(record))
    console.print(line(f"written to {path}"), soft_wrap=True)
    if not is_named:
        console.print(line(f"name it as profile of {device} in the scenario"), soft_wrap=True)
    return OK


def _client(device: str, endpoint: Endpoint, options: HostOptions) -> "ProfileClient":
    from planner.hosts.device_profiling.profile_bundle import check_openness, client_keys

    if options.keys:
        raise UsageError("--keys makes keys, for --bundle; to show those that it made, name them: --client")
    keys = None if options.client is None else client_keys(options.client, device, endpoint)
    check_openness(device, endpoint, keys=keys is not None, insecure=options.insecure)
    if options.insecure and keys is None:
        _LOG.warning("without keys, anybody on the way to %s can answer in its place", device)
    try:
        from planner.hosts.device_profiling.profile_client import ProfileClient, ProfileHost
    except ImportError as exc:
        raise UsageError("--host needs the extra: pip install 'splitquant[hosts]'") from exc
    return ProfileClient(ProfileHost(device, endpoint, keys))
