"""The command `plan profile`: measures a device, here or over the network, or compares two profiles."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from planner.cli.command_parameters import Json, Settings, examples
from planner.cli.exit_codes import BAD_INPUT, OK, USAGE
from planner.cli.process.terminal import fail, print_text, terminal
from planner.cli.process.terminal_progress import terminal_progress
from planner.cli.profile_host_commands import HostOptions, measure_on_host, write_bundle
from planner.json_record import to_json
from planner.report.tables.table_style import line
from planner.scenario.loader import load_ready_models
from planner.scenario.missing_files import missing_but_profiles
from planner.scenario.schema import Scenario
from planner.scenario.several_models import scenario_of_one

EXAMPLES = examples(
    "plan profile scenario.yaml --device camera --out camera.json",
    "plan profile scenario.yaml --device camera --bundle camera",
    "plan profile scenario.yaml --bundle camera --keys --host camera=10.0.0.5:7447",
    "plan profile scenario.yaml --host camera=10.0.0.5:7447 --client camera-client",
    "plan profile --diff monday.json friday.json",
)


def profile(
    scenario: Annotated[Path, Parameter(help="The scenario file; with --diff, the later profile.")],
    /,
    *,
    device: Annotated[str | None, Parameter(help="Device to measure; default: the source.")] = None,
    model: Annotated[
        str | None, Parameter(help="Which of the scenario's models, if there are several.")
    ] = None,
    out: Annotated[
        Path | None,
        Parameter(
            help="File to write; default DEVICE.profile.json, or with --host the one that the scenario names."
        ),
    ] = None,
    bundle: Annotated[
        Path | None, Parameter(help="Folder to write instead, for a device that cannot run this command.")
    ] = None,
    host: Annotated[
        str | None,
        Parameter(
            help="NAME=ADDRESS[:PORT] of a device that serves its bundle: measure there; "
            "with --bundle, where it will listen."
        ),
    ] = None,
    client: Annotated[
        Path | None, Parameter(help="Folder of the keys that --keys wrote for who asks.")
    ] = None,
    keys: Annotated[
        bool, Parameter(help="With --bundle: make keys for the device and for who asks.", negative=())
    ] = False,
    insecure: Annotated[
        bool,
        Parameter(help="Let the device listen beyond its machine, or ask it, without keys.", negative=()),
    ] = False,
    deadline_s: Annotated[
        float | None, Parameter(help="Seconds until a device has measured; default 3600.")
    ] = None,
    diff: Annotated[
        Path | None, Parameter(help="A profile to compare with another: plan profile --diff BEFORE AFTER.")
    ] = None,
    json: Json = False,
    settings: Settings = None,
) -> int:
    """Measure a scenario's model on this machine: run it on the device itself.

    A device that cannot install this package needs only Python 3.9, NumPy and its runtime, ONNX Runtime or
    LiteRT: copy the folder that --bundle writes to it and run its measure.py there, which writes the profile.
    Or, with zenoh, run its profile_server.py there, and --host measures the device from here.
    """
    options = HostOptions(host, keys, client, insecure, deadline_s)
    if diff is not None:
        if device or out or bundle or settings or options.names_any:
            return fail(USAGE, "--diff compares two profiles that exist: plan profile --diff BEFORE AFTER")
        return _diff(diff, scenario, json=json)
    if bundle is not None:
        if out is not None or json:
            return fail(USAGE, "--bundle writes no profile yet: leave out --out and --json")
        return write_bundle(_of_one_model(scenario, model, settings), device, bundle, options)
    where = options.endpoint(device)
    if where is not None:
        loaded = _of_one_model(scenario, model, settings)
        return measure_on_host(loaded, *where, options, out, _file_name(model, where[0]), json=json)
    from planner.profile_device import profile_here
    from profiling.records.json_files import save_json

    loaded = _of_one_model(scenario, model, settings)
    with terminal_progress() as progress:
        record = profile_here(loaded, device or loaded.source, progress)
    path = out or Path(_file_name(model, record.device))
    try:
        save_json(record, path)
    except OSError as exc:
        return fail(BAD_INPUT, f"--out {path}: {exc.strerror}")
    if json:
        print_text(to_json(record))
    else:
        from planner.report.tables.profile_tables import profile_table

        console = terminal()
        console.print(profile_table(record))
        console.print(line(f"written to {path}"), soft_wrap=True)
    return OK


def _file_name(model: str | None, device: str) -> str:
    return ".".join([*([model] if model else []), device, "profile.json"])


def _diff(before: Path, after: Path, *, json: bool) -> int:
    from planner.report.tables.profile_tables import diff_table
    from profiling.records.profile import load_profile
    from profiling.records.profile_diff import diff_profiles

    found = diff_profiles(load_profile(before), load_profile(after))
    if json:
        print_text(to_json(found))
    else:
        terminal().print(diff_table(found))
    return OK


def _of_one_model(path: Path, model: str | None, settings: Settings) -> Scenario:
    """Return the scenario of a file, of the model that is named if it holds several.

    Profiles that it names need not be there: the command may be about to make them.
    """
    loaded = load_ready_models(path, settings or (), missing_but_profiles)
    return scenario_of_one(loaded, model, str(path))
