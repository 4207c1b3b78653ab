"""The command `plan`: parse, call run, print, set the exit code."""

import os
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from importlib.metadata import version
from os import cpu_count
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import App, CycloptsError, Parameter, Token

from planner.cli.cache_command import cache_app
from planner.cli.error_reports import report_exception
from planner.cli.exit_codes import BAD_INPUT, BROKEN_BUDGET, INFEASIBLE, INTERRUPTED, OK, USAGE
from planner.cli.interrupts import INTERRUPT
from planner.cli.logging_setup import MessageOptions, messages
from planner.cli.standard_output import standard_output
from planner.cli.terminal import print_text, terminal
from planner.cli.terminal_progress import terminal_progress
from planner.errors import PlannerError, ScenarioError, UsageError
from planner.json_record import to_json
from planner.report.terminal_table import line
from planner.scenario.loader import load_ready_models
from planner.scenario.models_schema import scenario_schema
from planner.scenario.schema import Scenario
from planner.scenario.several_models import SeveralModels
from profiling.errors import ProfilingError
from profiling.printable_text import one_line, reason, shown

_MOST_DIGITS = 18
SCENARIOS = (".yaml", ".yml")
_LONGEST_REASON = 300  # so that the name of a file has room behind it

_PURPOSE = "Decide at which precision and on which device each part of a neural network runs, and prove it."
_EXAMPLES = """
Examples:

```
plan scenarios/quickstart.yaml
plan scenario.yaml --set links.0.bandwidth_mbit_per_s=5 --out plans/slow
plan profile scenario.yaml --device camera --out camera.json
plan profile scenario.yaml --device camera --bundle camera-bundle
plan profile --diff monday.json friday.json
plan run plans/quickstart --input samples.npz --output answers.npz
plan inspect model.onnx
plan inspect keras:ResNet50
plan compare scenario.yaml --bandwidth 0.1..1000
plan solve problem.json --json
```

Exit codes: 0 plan found and verified; 1 bad input; 2 usage; 3 infeasible; 4 a budget failed on the
evaluation data, nothing is delivered; 130 interrupted.
"""

app = App(
    name="plan",
    help=_PURPOSE,
    help_epilogue=_EXAMPLES,
    help_format="markdown",
    version=lambda: version("splitquant"),
    suppress_keyboard_interrupt=False,
)


def _examples(*lines: str) -> str:
    """Return what stands below a command's options; in a docstring it would be taken for a section."""
    return "\n".join(("Example:" if len(lines) == 1 else "Examples:", "", "```", *lines, "```"))


ScenarioFile = Annotated[Path, Parameter(help="The scenario file.")]


def _whole(_type: object, tokens: Sequence[Token]) -> int:
    """Return a whole number; by itself the parser would round 0.5."""
    text = tokens[0].value
    if not text.removeprefix("-").isdecimal() or len(text) > _MOST_DIGITS:
        raise ValueError(f"{text!r} is no whole number")
    return int(text)


Settings = Annotated[
    list[str] | None,
    Parameter(name="--set", negative="", help="KEY=VALUE replaces one value of the scenario; repeatable."),
]
Json = Annotated[
    bool, Parameter(name="--json", negative="", help="Print one JSON document and nothing else.")
]


@app.default
def plan(
    scenario: Annotated[Path, Parameter(help="The scenario file, or one of the commands below.")],
    /,
    *,
    out: Annotated[Path | None, Parameter(help="Folder to write; default plans/SCENARIO.")] = None,
    json: Json = False,
    settings: Settings = None,
) -> int:
    """Profile (cached), solve, rebuild, split, verify and write a plan."""
    from planner.cli.models_commands import plan_several
    from planner.output.plan_folder import check_writable, read_manifest, write_outcome
    from planner.report.plan_tables import broken_text, no_plan_text, plan_table
    from planner.run import plan_scenario

    loaded = load_ready_models(scenario, settings or ())
    folder = out or Path("plans") / scenario.stem
    if isinstance(loaded, SeveralModels):
        return plan_several(loaded, folder, json=json)
    check_writable(folder)
    with terminal_progress() as progress:
        outcome = plan_scenario(loaded, progress)
        INTERRUPT.check()
        delivered = outcome.built is not None and not outcome.failures
        if delivered:
            write_outcome(outcome, folder)
    if json:
        print_text(to_json(outcome.plan))
    if outcome.built is None:
        return _fail(INFEASIBLE, no_plan_text(outcome.plan, outcome.failures, outcome.conflict))
    if outcome.failures:
        return _fail(BROKEN_BUDGET, broken_text(outcome.plan, outcome.failures))
    if not json:
        console = terminal()
        console.print(plan_table(outcome.plan, read_manifest(folder)))
        console.print(line(f"written to {folder}"), soft_wrap=True)
    return OK


@app.command(
    help_epilogue=_examples(
        "plan profile scenario.yaml --device camera --out camera.json",
        "plan profile scenario.yaml --device camera --bundle camera",
        "plan profile --diff monday.json friday.json",
    )
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
            return _fail(USAGE, "--diff compares two profiles that exist: plan profile --diff BEFORE AFTER")
        return _diff(diff, scenario, json=json)
    if bundle is not None:
        if out is not None or json:
            return _fail(USAGE, "--bundle writes no profile yet: leave out --out and --json")
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
        return _fail(BAD_INPUT, f"--out {path}: {exc.strerror}")
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
    loaded = load_ready_models(path, settings or ())
    if isinstance(loaded, SeveralModels):
        return loaded.scenario_of(model)
    if model is not None:
        raise UsageError(f"--model {model}: {path} holds one model")
    return loaded


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


@app.command(help_epilogue=_examples("plan export plans/quickstart/plan.json --out deploy"))
def export(
    plan_file: Annotated[Path, Parameter(help="plan.json of an earlier run.")],
    /,
    *,
    out: Annotated[Path, Parameter(help="Folder to write.")],
) -> int:
    """Rebuild and split a saved plan, without solving."""
    from planner.cli.models_commands import export_several
    from planner.output.models_folder import is_models_folder
    from planner.output.plan_folder import check_writable, profile_beside, read_plan, write_export
    from planner.run import export_plan

    if is_models_folder(plan_file):
        return export_several(plan_file, out)
    saved = read_plan(plan_file)
    check_writable(out)
    with terminal_progress() as progress:
        built = export_plan(saved, progress)
        write_export(saved, built, out, profile_beside(plan_file.parent))
    print_text(shown(f"{len(built.stages)} stages written to {out}"))
    return OK


@app.command(help_epilogue=_examples("plan verify plans/quickstart"))
def verify(folder: Annotated[Path, Parameter(help="A plan folder.")], /, *, json: Json = False) -> int:
    """Run an exported plan on the evaluation data again."""
    from planner.cli.models_commands import verify_several
    from planner.output.models_folder import is_models_folder
    from planner.output.plan_folder import read_folder
    from planner.report.plan_tables import broken_text, plan_table
    from planner.run import verify_plan

    if is_models_folder(folder):
        return verify_several(folder, json=json)
    saved, manifest = read_folder(folder)
    stages = [(stage.device, folder / stage.file) for stage in manifest.stages]
    with terminal_progress() as progress:
        outcome = verify_plan(saved, folder, stages, progress)
    if json:
        print_text(to_json(outcome.plan))
    else:
        terminal().print(plan_table(outcome.plan, manifest))
    return _fail(BROKEN_BUDGET, broken_text(outcome.plan, outcome.failures)) if outcome.failures else OK


@app.command(
    help_epilogue=_examples(
        "plan run plans/quickstart --input samples.npz --output answers.npz",
        "plan run plans/quickstart --input samples.npz --output cut.npz --stage 0",
    )
)
def run(
    folder: Annotated[Path, Parameter(help="A plan folder.")],
    /,
    *,
    input_file: Annotated[
        Path, Parameter(name="--input", help=".npz with one array per input, a folder of pictures, or one.")
    ],
    output_file: Annotated[Path, Parameter(name="--output", help=".npz to write.")],
    stage: Annotated[
        int | None, Parameter(converter=_whole, help="Run only this stage, on its device.")
    ] = None,
) -> int:
    """Run the exported stages in a chain, or one of them, on this machine."""
    from planner.cli.models_commands import refuse_several
    from planner.output.run_exported import run_folder

    refuse_several(folder)
    INTERRUPT.arm()
    written = run_folder(folder, input_file, output_file, stage)
    print_text(shown(f"{', '.join(written)} written to {output_file}"))
    return OK


@app.command(
    help_epilogue=_examples(
        "plan inspect model.onnx --shape image=1,3,224,224",
        "plan inspect keras:MobileNetV3Small",
        "plan inspect keras:ResNet50 --conversion weights=imagenet",
        "plan inspect exported_model --conversion signature=serve",
        "plan inspect --versions",
    )
)
def inspect(
    model: Annotated[
        str | None,
        Parameter(help="An ONNX, Keras, SavedModel or TFLite model, keras:NAME, or a scenario file."),
    ] = None,
    /,
    *,
    conversion: Annotated[
        list[str] | None,
        Parameter(
            negative="",
            help="KEY=VALUE of the scenario's `conversion`, unless it is an ONNX file; repeatable.",
        ),
    ] = None,
    shape: Annotated[
        list[str] | None,
        Parameter(negative="", help="NAME=1,3,224,224 for an input with dynamic dimensions; repeatable."),
    ] = None,
    versions: Annotated[
        bool, Parameter(negative="", help="Show the libraries' installed and tested versions instead.")
    ] = False,
    json: Json = False,
) -> int:
    """Show a model's inputs, outputs and units, what can be quantized and why not, and what weighs.

    Models of Keras and TensorFlow need the extra: pip install 'splitquant[tensorflow]'.
    """
    if versions:
        if model or conversion or shape:
            return _fail(USAGE, "--versions is of the installation: leave out the model and its options")
        return _versions(json=json)
    if model is None:
        return _fail(USAGE, "inspect wants a MODEL, or --versions (plan inspect --help shows how)")
    from planner.cli.models_commands import inspect_several
    from planner.inputs.inspect_source import inspect_source
    from planner.report.inspection_table import inspection_table
    from planner.report.plan_tables import conversion_lines

    if Path(model).suffix in SCENARIOS and not (conversion or shape):
        loaded = load_ready_models(Path(model))
        if isinstance(loaded, SeveralModels):
            return inspect_several(loaded, json=json)
    shapes = dict(_shape(text) for text in shape or ())
    with terminal_progress() as progress:
        found, converted_from = inspect_source(model, conversion or (), shapes, progress)
    if json:
        print_text(to_json(msgspec.to_builtins(found) | {"converted_from": converted_from}))
    else:
        lines = map(line, conversion_lines(converted_from))
        terminal().print(inspection_table(found), *lines, sep="\n")
    return OK


def _versions(*, json: bool) -> int:
    from planner.cli.versions import libraries, versions_table

    found = libraries()
    if json:
        print_text(to_json({"libraries": found}))
    else:
        terminal().print(versions_table(found))
    return OK


@app.command(
    help_epilogue=_examples(
        "plan solve scenarios/problem.json --json",
        "plan solve problem.json --time-limit-s 10 --gap 0.01",
    )
)
def solve(
    problem: Annotated[Path, Parameter(help="PROBLEM.json; `plan schema --problem` says what it holds.")],
    /,
    *,
    time_limit_s: Annotated[
        float | None, Parameter(help="Seconds for the answer, or for why there is none; default: the file's.")
    ] = None,
    gap: Annotated[
        float | None, Parameter(help="Stop when the answer is within this fraction of the best.")
    ] = None,
    solver: Annotated[
        str | None, Parameter(help="highs, cbc, or gurobi, cplex, scip where they are installed.")
    ] = None,
    json: Json = False,
) -> int:
    """Solve a table of costs that comes from elsewhere: the planner's core alone."""
    from planner.problem_io.solution import conflict_line
    from planner.problem_io.solve_file import SolverChanges, solve_file
    from planner.report.solution_table import answer_table

    answer = solve_file(problem, SolverChanges(solver, time_limit_s, gap))
    if json:
        print_text(to_json(answer))
    if answer.is_infeasible:
        return _fail(INFEASIBLE, conflict_line(answer))
    if not json:
        terminal().print(answer_table(answer))
    return OK


@app.command(
    help_epilogue=_examples(
        "plan compare scenario.yaml --bandwidth 0.1..1000",
        "plan compare scenario.yaml --bandwidth 1,10 --noise 0.01,0.05 --memory camera=1,2",
        "plan compare scenario.yaml --pareto latency,noise --verify",
        "plan compare scenario.yaml --plans 2 --trace drive.csv --hysteresis 0.1",
        "plan compare two-models.yaml --requests-per-s 1..100",
    )
)
def compare(
    scenario: ScenarioFile,
    /,
    *,
    bandwidth: Annotated[str | None, Parameter(help="Mbit/s: 1,5,20,100, or 0.1..1000 for a range.")] = None,
    link: Annotated[
        list[str] | None, Parameter(help="Link that varies, such as camera-gateway, or all (by factors).")
    ] = None,
    requests_per_s: Annotated[
        str | None, Parameter(help="Of several models together, in their mix: 1,5,20, or 0.5..100.")
    ] = None,
    noise: Annotated[str | None, Parameter(help="Values of budget.noise_relative_rms.")] = None,
    accuracy_drop: Annotated[str | None, Parameter(help="Values of budget.accuracy_drop.")] = None,
    memory: Annotated[str | None, Parameter(help="Values of a device's memory: camera=1,2 (MiB).")] = None,
    pareto: Annotated[
        str | None, Parameter(help="Quantities to trade against each other: latency,noise or with energy.")
    ] = None,
    points: Annotated[
        int, Parameter(converter=_whole, help="Plans to find on the Pareto front, at most.")
    ] = 12,
    plans: Annotated[
        int | None, Parameter(converter=_whole, help="Choose so many plans to hold, and export them.")
    ] = None,
    trace: Annotated[
        Path | None, Parameter(help="CSV of seconds,Mbit/s: the bandwidths that these plans meet.")
    ] = None,
    distribution: Annotated[str | None, Parameter(help="The same as weights: 1:0.2,5:0.5,20:0.3.")] = None,
    hysteresis: Annotated[
        float, Parameter(help="Fraction beyond a switch-over bandwidth at which a runtime changes plans.")
    ] = 0.0,
    verify: Annotated[bool, Parameter(negative="", help="Build and measure every plan.")] = False,
    jobs: Annotated[
        int | None, Parameter(converter=_whole, help="Processes at once; default: one per core.")
    ] = None,
    out: Annotated[Path | None, Parameter(help="Folder to write; default comparisons/SCENARIO.")] = None,
    json: Json = False,
    settings: Settings = None,
) -> int:
    """Compare the best plans over bandwidths and budgets, and with simpler ways to plan.

    With objective latency, every bandwidth at which the best plan changes is found exactly. An interrupted
    comparison goes on where it stopped when it is run again.
    """
    from planner.cli.compare_options import CompareOptions, compare_request
    from planner.cli.models_commands import compare_several
    from planner.comparison.compare import compare_scenario
    from planner.output.comparison_folder import check_comparison, write_comparison
    from planner.report.comparison_table import comparison_table

    loaded = load_ready_models(scenario, settings or ())
    options = CompareOptions(
        bandwidth=bandwidth,
        links=tuple(link or ()),
        noise=noise,
        accuracy_drop=accuracy_drop,
        memory=memory,
        pareto=pareto,
        points=points,
        plans=plans,
        trace=trace,
        distribution=distribution,
        hysteresis=hysteresis,
        verify=verify,
    )
    folder = out or Path("comparisons") / scenario.stem
    if isinstance(loaded, SeveralModels):
        if requests_per_s is None or options != CompareOptions():
            return _fail(USAGE, "several models are compared over --requests-per-s, and over nothing else")
        return compare_several(loaded, requests_per_s, folder, json=json)
    if requests_per_s is not None:
        return _fail(USAGE, "--requests-per-s: is of several models; this scenario has one")
    sweep, request = compare_request(options, loaded, cpu_count() or 1 if jobs is None else jobs)
    check_comparison(folder)
    with terminal_progress() as progress:
        compared = compare_scenario(loaded, sweep, request, progress)
        INTERRUPT.check()
        write_comparison(compared, folder)
    if json:
        print_text(to_json(compared.record))
    else:
        console = terminal()
        console.print(comparison_table(compared.record))
        console.print(line(f"written to {folder}"), soft_wrap=True)
    return OK


@app.command(help_epilogue=_examples("plan choose comparisons/fleet --class phone --bandwidth 5"))
def choose(
    folder: Annotated[Path, Parameter(help="Folder of a comparison with a fleet.")],
    /,
    *,
    device_class: Annotated[str, Parameter(name="--class", help="Class of the fleet's device.")],
    bandwidth: Annotated[float | None, Parameter(help="Mbit/s of the fleet's links.")] = None,
    json: Json = False,
) -> int:
    """Tell which plan a class of a fleet's device runs at a bandwidth, and its stages."""
    from planner.output.comparison_folder import choose_fleet_plan

    found = choose_fleet_plan(folder, device_class, bandwidth)
    if json:
        print_text(to_json(found))
        return OK
    print_text(shown(f"plan {found.plan}: {found.summary}"))
    for stage in found.stages:
        print_text(shown(f"{stage.device}: {folder / stage.file}"))
    return OK


@app.command(
    help_epilogue=_examples(
        "plan schema > scenario.schema.json",
        "plan schema --problem",
    )
)
def schema(
    *,
    problem: Annotated[bool, Parameter(negative="", help="Of PROBLEM.json instead of the scenario.")] = False,
) -> int:
    """Print the JSON Schema of a scenario, or of PROBLEM.json."""
    from planner.problem_io.schema import problem_schema

    wanted = problem_schema() if problem else scenario_schema()
    print_text(msgspec.json.format(msgspec.json.encode(wanted), indent=2).decode())
    return OK


app.command(cache_app)


@app.command(
    help_epilogue=_examples(
        "plan deploy plans/quickstart --out deploy",
        "plan deploy comparisons/quickstart --out deploy",
        "plan deploy scenario.yaml --out links --host camera=10.0.0.5 --host gateway=10.0.0.1 --keys",
        "plan deploy plans/quickstart --out deploy --keys --host camera=10.0.0.5 --host gateway=10.0.0.1",
    )
)
def deploy(
    folder: Annotated[Path, Parameter(help="A plan's folder, one of plan compare --plans K, or a scenario.")],
    /,
    *,
    out: Annotated[Path, Parameter(help="Folder to write: one folder per device in it.")],
    host: Annotated[
        tuple[str, ...],
        Parameter(help="NAME=ADDRESS[:PORT] where a device listens; default: this machine.", negative=()),
    ] = (),
    keys: Annotated[
        bool, Parameter(help="Make a private certificate authority, and a key per device.", negative=())
    ] = False,
    insecure: Annotated[
        bool, Parameter(help="Let devices listen beyond this machine without keys.", negative=())
    ] = False,
) -> int:
    """Write a folder per device that serves its stages.

    Of several plans all are deployed, and requests run by the one that suits the bandwidth. Of a scenario's
    file no stage is: its devices can then measure their links (plan links), before anything is planned.
    """
    from planner.cli.host_commands import deploy_plan
    from planner.cli.models_commands import refuse_several

    if folder.is_dir():
        refuse_several(folder)
    return deploy_plan(folder, out, host, keys=keys, insecure=insecure)


@app.command(
    help_epilogue=_examples(
        "plan request deploy --input samples.npz --output answers.npz",
        "plan request deploy --input pictures --rate 30 --json",
    )
)
def request(
    folder: Annotated[Path, Parameter(help="What `plan deploy` wrote.")],
    /,
    *,
    input_file: Annotated[
        Path, Parameter(name="--input", help=".npz with one array per input, a folder of pictures, or one.")
    ],
    output_file: Annotated[Path | None, Parameter(name="--output", help=".npz to write.")] = None,
    rate: Annotated[
        float | None, Parameter(help="Requests per second; default: each when the one before has ended.")
    ] = None,
    deadline_s: Annotated[float, Parameter(help="Seconds until a request without an answer fails.")] = 30.0,
    json: Json = False,
) -> int:
    """Send requests through running hosts, and compare what they take with the plan."""
    from planner.cli.host_commands import send_requests

    return send_requests(folder, input_file, output_file, rate, deadline_s, json=json)


@app.command(help_epilogue=_examples("plan hosts deploy", "plan hosts deploy --watch"))
def hosts(
    folder: Annotated[Path, Parameter(help="What `plan deploy` wrote.")],
    /,
    *,
    watch: Annotated[bool, Parameter(help="Again every second, until interrupted.", negative=())] = False,
    json: Json = False,
) -> int:
    """Show which hosts are there, what they serve, and what their connections let through."""
    from planner.cli.host_commands import show_hosts

    return show_hosts(folder, json=json, watch=watch)


@app.command(help_epilogue=_examples("plan links deploy", "plan links deploy --out links.yaml"))
def links(
    folder: Annotated[Path, Parameter(help="What `plan deploy` wrote.")],
    /,
    *,
    out: Annotated[Path | None, Parameter(help="YAML to write, for a scenario's links.")] = None,
    json: Json = False,
) -> int:
    """Measure bandwidth and latency of the links between running hosts.

    At most 1 MiB, in at most a few seconds, goes over each.
    """
    from planner.cli.host_commands import measure_links

    return measure_links(folder, out, json=json)


@app.command(help_epilogue=_examples("plan replan deploy --measured --out plans/slow"))
def replan(
    folder: Annotated[Path, Parameter(help="What `plan deploy` wrote.")],
    /,
    *,
    measured: Annotated[
        bool, Parameter(help="With the costs that `plan request` and `plan links` measured.", negative=())
    ] = False,
    out: Annotated[Path | None, Parameter(help="Folder to write; default DIR-replanned.")] = None,
    json: Json = False,
) -> int:
    """Plan again what is deployed, with links and devices as they were measured."""
    if not measured:
        return _fail(USAGE, "replan: say with which costs: --measured")
    from planner.cli.host_commands import replan as replan_deployed

    return replan_deployed(folder, out, json=json)


app.meta.suppress_keyboard_interrupt = False


@app.meta.default
def _with_messages(
    *tokens: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
    options: MessageOptions | None = None,
) -> object:
    """Run a command, whose options for messages may stand before or behind its name."""
    with messages(options or MessageOptions()):
        mistyped = _mistyped_command(tokens)
        if mistyped:
            raise UsageError(mistyped)
        return _call(app, tokens)


def _call(which: App, tokens: Sequence[str]) -> object:
    return which(
        tokens, console=terminal(), exit_on_error=False, print_error=False, result_action="return_value"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    tokens = list(sys.argv[1:] if arguments is None else arguments)
    code, lines = _run(tokens)
    if INTERRUPT.seen and code != OK:
        # Whatever failed, failed because of the interrupt.
        code, lines = INTERRUPTED, ("interrupted; measurements so far are kept, nothing was written",)
    sys.exit(_fail(code, *lines))


def _run(tokens: list[str]) -> tuple[int, tuple[str, ...]]:
    """Return the exit code and, for an error, the lines that tell of it."""
    try:
        code = _call(app.meta, tokens)
        standard_output().flush()
    except CycloptsError as exc:
        return USAGE, (f"{one_line(str(exc))} (plan --help shows how)",)
    except (PlannerError, ProfilingError) as exc:
        return USAGE if isinstance(exc, UsageError) else BAD_INPUT, tuple(map(str, exc.args))
    except KeyboardInterrupt:
        return INTERRUPTED, ()
    except OSError as exc:
        return BAD_INPUT, (f"{exc.filename or 'file system'}: {exc.strerror or exc}",)
    except MemoryError:
        return BAD_INPUT, ("out of memory",)
    except Exception as exc:  # noqa: BLE001  the last resort: no traceback, whatever was fed in
        if type(exc).__module__.startswith("onnxruntime"):  # its exceptions share no public base class
            return BAD_INPUT, (f"ONNX Runtime fails on this model and data: {exc}",)
        said = one_line(f"{type(exc).__name__}: {reason(exc)}", _LONGEST_REASON)
        return BAD_INPUT, (f"internal error, please report it: {said}; {report_exception(exc)}",)
    return (code, ()) if isinstance(code, int) else (OK, ())


def _shape(text: str) -> tuple[str, tuple[int, ...]]:
    name, _, numbers = text.rpartition("=")
    parts = numbers.split(",")
    if not name or not all(part.strip().isdecimal() and int(part) for part in parts):
        raise ScenarioError(f"--shape {text}: write NAME=1,3,224,224")
    return name, tuple(int(part) for part in parts)


def _mistyped_command(tokens: Sequence[str]) -> str | None:
    """Return a hint if the first word is neither a file nor a command but looks like one."""
    word = tokens[0] if tokens else ""
    commands = [name for name in app if not name.startswith("-")]
    # os.path, since Path raises where a name is too long for a file.
    if word in commands or word.startswith("-") or Path(word).suffix or os.path.exists(word):  # noqa: PTH110
        return None
    close = get_close_matches(word, commands, n=1)
    return f"no command or file {word!r}; did you mean {close[0]}?" if close else None


def _fail(code: int, *lines: str) -> int:
    """Tell each of some lines as a terminal may show it, and return the exit code."""
    for text in lines:
        print(one_line(text), file=sys.stderr)
    return code
