"""The command `plan profile`: measures a device, writes its bundle, or compares two profiles."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from planner.cli.command_parameters import Json, Settings, examples
from planner.cli.exit_codes import BAD_INPUT, OK, USAGE
from planner.cli.interrupts import INTERRUPT
from planner.cli.terminal import fail, print_text, terminal
from planner.cli.terminal_progress import terminal_progress
from planner.json_record import to_json
from planner.report.table_style import line
from planner.scenario.loader import load_ready_models
from planner.scenario.schema import Scenario
from planner.scenario.several_models import scenario_of_one
from profiling.printable_text import shown

EXAMPLES = examples(
    "plan profile scenario.yaml --device camera --out camera.json",
    "plan profile scenario.yaml --device camera --bundle camera",
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
    out: Annotated[Path | None, Parameter(help="File to write; default DEVICE.profile.json.")] = None,
    bundle: Annotated[
        Path | None, Parameter(help="Folder to write instead, for a device that cannot run this command.")
    ] = None,
    diff: Annotated[
        Path | None, Parameter(help="A profile to compare with another: plan profile --diff BEFORE AFTER.")
    ] = None,
    json: Json = False,
    settings: Settings = None,
) -> int:
    """Measure a scenario's model on this machine: run it on the device itself.

    A device that cannot install this package needs only Python 3.9, NumPy and ONNX Runtime: copy the
    folder that --bundle writes to it and run its measure.py there, which writes the profile.
    """
    if diff is not None:
        if device or out or bundle or settings:
            return fail(USAGE, "--diff compares two profiles that exist: plan profile --diff BEFORE AFTER")
        return _diff(diff, scenario, json=json)
    if bundle is not None:
        if out is not None or json:
            return fail(USAGE, "--bundle writes no profile yet: leave out --out and --json")
        return _bundle(_of_one_model(scenario, model, settings), device, bundle)
    from planner.costs.device_profiles import profile_here
    from profiling.records.json_files import save_json

    loaded = _of_one_model(scenario, model, settings)
    with terminal_progress() as progress:
        record = profile_here(loaded, device or loaded.source, progress)
    path = out or Path(".".join([*([model] if model else []), record.device, "profile.json"]))
    try:
        save_json(record, path)
    except OSError as exc:
        return fail(BAD_INPUT, f"--out {path}: {exc.strerror}")
    if json:
        print_text(to_json(record))
    else:
        from planner.report.profile_tables import profile_table

        console = terminal()
        console.print(profile_table(record))
        console.print(line(f"written to {path}"), soft_wrap=True)
    return OK


def _diff(before: Path, after: Path, *, json: bool) -> int:
    from planner.report.profile_tables import diff_table
    from profiling.records.profile import load_profile
    from profiling.records.profile_diff import diff_profiles

    found = diff_profiles(load_profile(before), load_profile(after))
    if json:
        print_text(to_json(found))
    else:
        terminal().print(diff_table(found))
    return OK


def _of_one_model(path: Path, model: str | None, settings: Settings) -> Scenario:
    """Return the scenario of a file, of the model that is named if it holds several."""
    return scenario_of_one(load_ready_models(path, settings or ()), model, str(path))


def _bundle(loaded: Scenario, device: str | None, folder: Path) -> int:
    from planner.costs.device_profiles import bundle_device
    from planner.output.plan_folder import writing_bundle

    name = device or loaded.source
    with terminal_progress() as progress, writing_bundle(folder) as fresh:
        bundle_device(loaded, name, fresh, progress)
        INTERRUPT.check()
    print_text(shown(f"bundle for {name} written to {folder}"))
    print_text(shown(f"copy it to the device, run there: python3 {folder.name}/measure.py"))
    print_text(f"then bring {name}.profile.json back and name it as profile of {name} in the scenario")
    return OK
