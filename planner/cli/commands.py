"""The command `plan`: parse, call run, print, set the exit code."""

import os
import shlex
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
from cyclopts import App, CycloptsError, MissingArgumentError, Parameter, UnusedCliTokensError

from planner.cli import compare_command, diff_command, init_command, inspect_command, profile_command
from planner.cli.cache_command import cache_app
from planner.cli.command_parameters import InputFile, Json, Settings, examples, number_or_name, whole_number
from planner.cli.compare_command import compare
from planner.cli.deployment_commands import DEPLOYMENT_COMMANDS
from planner.cli.diff_command import diff
from planner.cli.exit_codes import BAD_INPUT, BROKEN_BUDGET, INFEASIBLE, INTERRUPTED, OK, USAGE
from planner.cli.help_commands import add_help_commands
from planner.cli.init_command import init
from planner.cli.inspect_command import inspect
from planner.cli.process.error_reports import report_exception
from planner.cli.process.interrupts import INTERRUPT
from planner.cli.process.logging_setup import MessageOptions, messages
from planner.cli.process.standard_output import standard_output
from planner.cli.process.terminal import fail, print_text, terminal
from planner.cli.process.terminal_progress import terminal_progress
from planner.cli.profile_command import profile
from planner.errors import PlannerError, UsageError
from planner.formatting import counted
from planner.json_record import to_json
from planner.plan.manifest import REPORT
from planner.report.tables.table_style import line
from planner.scenario.loader import load_ready_models
from planner.scenario.models_schema import scenario_schema
from planner.scenario.several_models import SeveralModels
from profiling.errors import ProfilingError, naming_runtime_errors
from profiling.printable_text import one_line, reason, shown

if TYPE_CHECKING:
    from planner.problem_io.solution import Answer
    from planner.problem_io.solve_file import SolverChanges

_INTERRUPTED_LINES = ("interrupted; measurements so far are kept, nothing was written",)
# Word -> what does what it stands for.
_MEANT = {
    "report": "each plan's folder has its report.html",
    "show": "each plan's folder has its report.html",
    "measure": "plan profile measures a device",
    "serve": "plan deploy writes what hosts serve",
}
_LONGEST_REASON = 300  # so that the name of a file has room behind it

_PURPOSE = "Decide at which precision and on which device each part of a neural network runs, and prove it."
_EXAMPLES = """
Examples:

```
plan init model.onnx
plan scenarios/quickstart.yaml
plan scenario.yaml --set links.0.bandwidth_mbit_per_s=5 --out plans/slow
plan scenario.yaml --reproduce plans/scenario --out plans/again
plan profile scenario.yaml --device camera --out camera.json
plan profile scenario.yaml --device camera --bundle camera-bundle
plan profile --diff monday.json friday.json
plan run plans/quickstart --input samples.npz --output answers.npz
plan inspect model.onnx
plan inspect keras:ResNet50
plan compare scenario.yaml --bandwidth 0.1..1000
plan diff plans/before plans/after
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
    version_flags=("--version", "-V"),
    suppress_keyboard_interrupt=False,
)


@app.default
def plan(
    scenario: Annotated[Path, Parameter(help="The scenario file, or one of the commands below.")],
    /,
    *,
    out: Annotated[Path | None, Parameter(help="Folder to write; default plans/SCENARIO.")] = None,
    reproduce: Annotated[
        Path | None,
        Parameter(
            help="An earlier plan, or its folder: plan with its costs; no device is profiled, no plan timed."
        ),
    ] = None,
    json: Json = False,
    settings: Settings = None,
) -> int:
    """Profile (cached), solve, rebuild, split, verify and write a plan."""
    from planner.cli.models_commands import plan_several
    from planner.output.plan_folder import check_writable, write_outcome
    from planner.output.saved_plan import read_fixed_costs, read_manifest
    from planner.report.tables.plan_tables import plan_table, reproduced_text, undelivered_text
    from planner.run import plan_scenario

    loaded = load_ready_models(scenario, settings or ())
    folder = out or Path("plans") / scenario.stem
    if isinstance(loaded, SeveralModels):
        _refuse_reproduce(reproduce)
        return plan_several(loaded, folder, json=json)
    check_writable(folder)
    fixed = None if reproduce is None else read_fixed_costs(reproduce)
    with terminal_progress() as progress:
        outcome = plan_scenario(loaded, progress, fixed)
        INTERRUPT.check()
        if outcome.is_delivered:
            write_outcome(outcome, folder)
    if json:
        print_text(to_json(outcome.plan))
    if not outcome.is_delivered:
        return fail(INFEASIBLE if outcome.built is None else BROKEN_BUDGET, undelivered_text(outcome))
    if not json:
        console = terminal()
        console.print(plan_table(outcome.plan, read_manifest(folder)))
        same = [] if fixed is None else [reproduced_text(fixed.name, fixed.plan, outcome.plan)]
        for text in (*same, f"written to {folder}", *_next_steps(scenario, folder)):
            console.print(line(text), soft_wrap=True)
    return OK


def _refuse_reproduce(path: Path | None) -> None:
    if path is not None:
        raise UsageError("--reproduce plans one model again; a scenario with models has several")


def _next_steps(scenario: Path, folder: Path) -> list[str]:
    """Return what people do with a plan, as they can paste it."""
    plan_folder, file = shlex.quote(str(folder)), shlex.quote(str(scenario))
    return [
        f"next: look at {folder / REPORT}",
        f"      plan run {plan_folder} --input {file} --output answers.npz    # on the evaluation samples",
        f"      plan deploy {plan_folder} --out deploy    # a folder per device",
        f"      plan compare {file} --bandwidth 0.1..1000    # where the best plan changes",
    ]


@app.command(help_epilogue=examples("plan export plans/quickstart/plan.json --out deploy"))
def export(
    plan_file: Annotated[Path, Parameter(help="plan.json of an earlier run.")],
    /,
    *,
    out: Annotated[Path, Parameter(help="Folder to write.")],
) -> int:
    """Rebuild and split a saved plan, without solving."""
    from planner.cli.models_commands import export_several
    from planner.export_and_verify import export_plan
    from planner.output.models_folder import is_models_folder
    from planner.output.plan_folder import check_writable, write_export
    from planner.output.saved_plan import profile_beside, read_plan

    if is_models_folder(plan_file):
        return export_several(plan_file, out)
    saved = read_plan(plan_file)
    check_writable(out)
    with terminal_progress() as progress:
        built = export_plan(saved, progress)
        write_export(saved, built, out, profile_beside(plan_file.parent))
    print_text(shown(f"{counted(len(built.stages), 'stage')} written to {out}"))
    return OK


@app.command(help_epilogue=examples("plan verify plans/quickstart"))
def verify(folder: Annotated[Path, Parameter(help="A plan folder.")], /, *, json: Json = False) -> int:
    """Run an exported plan on the evaluation data again."""
    from planner.cli.models_commands import verify_several
    from planner.export_and_verify import verify_plan
    from planner.output.models_folder import is_models_folder
    from planner.output.saved_plan import read_folder
    from planner.report.tables.verification_table import verification_table

    if is_models_folder(folder):
        return verify_several(folder, json=json)
    saved, manifest = read_folder(folder)
    stages = [(stage.device, folder / stage.file) for stage in manifest.stages]
    whole = [folder / part.file for part in manifest.whole]
    with terminal_progress() as progress:
        outcome = verify_plan(saved, folder / manifest.model, stages, whole, progress)
    if json:
        print_text(to_json(outcome.plan))
    else:
        terminal().print(verification_table(saved, outcome.plan))
    if not outcome.failures:
        return OK
    return fail(
        BROKEN_BUDGET, f"verification failed: {'; '.join(outcome.failures)}; the folder stays as it was"
    )


@app.command(
    help_epilogue=examples(
        "plan run plans/quickstart --input samples.npz --output answers.npz",
        "plan run plans/quickstart --input samples.npz --output cut.npz --stage 0",
        "plan run plans/detector --input pictures --output boxes.json",
        "plan run comparisons/quickstart --plan 1 --input samples.npz --output answers.npz",
    )
)
def run(
    folder: Annotated[Path, Parameter(help="A plan folder, or one of plan compare --plans K.")],
    /,
    *,
    input_file: InputFile,
    output_file: Annotated[
        Path,
        Parameter(
            name="--output",
            help=".npz to write: an array per output over all samples; of pictures, `files` names each. Or "
            ".csv: the class of each sample, its name and score; of a detector, as .json, the boxes.",
        ),
    ],
    stage: Annotated[
        int | str | None,
        Parameter(converter=number_or_name, help="Run only this stage: its number, or its device."),
    ] = None,
    plan: Annotated[
        int | None,
        Parameter(
            converter=whole_number, help="Number of the plan to run, of those that a comparison holds."
        ),
    ] = None,
) -> int:
    """Run the exported stages in a chain, or one of them, on this machine."""
    from planner.output.models_folder import refuse_several
    from planner.output.run_exported import run_folder

    refuse_several(folder)
    INTERRUPT.arm()
    written = run_folder(folder, input_file, output_file, stage, plan)
    what = {".csv": "a table", ".json": "boxes"}.get(output_file.suffix.lower())
    what = what or counted(len(written), "array")
    print_text(shown(f"{what} written to {output_file}: {', '.join(written)}"))
    return OK


@app.command(
    help_epilogue=examples(
        "plan solve scenarios/problem.json --json",
        "plan solve problem.json --time-limit-s 10 --gap 0.01",
        "python make_problem.py | plan solve -",
    )
)
def solve(
    problem: Annotated[
        Path,
        Parameter(
            help="PROBLEM.json, or - for the standard input; `plan schema --problem` says what it holds."
        ),
    ],
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
    from planner.problem_io.solution import as_interrupted, conflict_line
    from planner.problem_io.solve_file import SolverChanges
    from planner.report.tables.solution_table import answer_table

    answer = _solved(problem, SolverChanges(solver, time_limit_s, gap))
    interrupted = ("interrupted: the best so far",) if INTERRUPT.seen else ()
    if interrupted:
        answer = as_interrupted(answer)
    if json:
        print_text(to_json(answer))
    elif not answer.is_infeasible:
        terminal().print(answer_table(answer))
    lines = (*interrupted, *((conflict_line(answer),) if answer.is_infeasible else ()))
    return fail(INTERRUPTED if interrupted else INFEASIBLE if answer.is_infeasible else OK, *lines)


def _solved(problem: Path, changes: "SolverChanges") -> "Answer":
    from planner.cli.process.command_clock import BEGAN, command_clock
    from planner.problem_io.loader import STANDARD_INPUT, read_spec
    from planner.problem_io.solve_file import solve_file, solve_spec

    if problem != STANDARD_INPUT:
        INTERRUPT.arm_for_answer()
        return solve_file(problem, changes, command_clock, BEGAN)
    # The time limit begins where the input ends: another program writes it. Until then an interrupt ends all.
    spec = read_spec(BytesIO() if sys.stdin is None else sys.stdin.buffer)
    INTERRUPT.arm_for_answer()
    return solve_spec(spec, changes, command_clock)


@app.command(help_epilogue=examples("plan choose comparisons/fleet --class phone --bandwidth 5"))
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
    help_epilogue=examples(
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


app.command(profile, help_epilogue=profile_command.EXAMPLES)
app.command(init, help_epilogue=init_command.EXAMPLES)
app.command(inspect, help_epilogue=inspect_command.EXAMPLES)
app.command(compare, help_epilogue=compare_command.EXAMPLES)
app.command(diff, help_epilogue=diff_command.EXAMPLES)
app.command(cache_app)
add_help_commands(app)
for _command, _examples in DEPLOYMENT_COMMANDS:
    app.command(_command, help_epilogue=_examples)


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
        return _call(app, with_standard_input(tokens))


def with_standard_input(tokens: Sequence[str]) -> Sequence[str]:
    """Return arguments of which `-` of `plan solve` stands behind `--`: it is a file, not an option."""
    if next(iter(tokens), None) != "solve" or "-" not in tokens or "--" in tokens:
        return tokens
    return [*(token for token in tokens if token != "-"), "--", "-"]


def _call(which: App, tokens: Sequence[str]) -> object:
    return which(
        tokens, console=terminal(), exit_on_error=False, print_error=False, result_action="return_value"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    tokens = list(sys.argv[1:] if arguments is None else arguments)
    code, lines = _run(tokens)
    if INTERRUPT.seen and code not in (OK, INTERRUPTED):
        # Whatever failed, failed because of the interrupt.
        code, lines = INTERRUPTED, _INTERRUPTED_LINES
    sys.exit(fail(code, *lines))


def _run(tokens: list[str]) -> tuple[int, tuple[str, ...]]:
    """Return the exit code and, for an error, the lines that tell of it."""
    try:
        with naming_runtime_errors():
            code = _call(app.meta, tokens)
        standard_output().flush()
    except CycloptsError as exc:
        return USAGE, (f"{_misuse(exc, tokens)} ({_command_in(tokens)} --help shows how)",)
    except (PlannerError, ProfilingError) as exc:
        return USAGE if isinstance(exc, UsageError) else BAD_INPUT, tuple(map(str, exc.args))
    except KeyboardInterrupt:
        return INTERRUPTED, _INTERRUPTED_LINES if INTERRUPT.seen else ()
    except OSError as exc:
        return BAD_INPUT, (f"{exc.filename or 'file system'}: {exc.strerror or exc}",)
    except MemoryError:
        return BAD_INPUT, ("out of memory",)
    except Exception as exc:  # noqa: BLE001  the last resort: no traceback, whatever was fed in
        said = one_line(f"{type(exc).__name__}: {reason(exc)}", _LONGEST_REASON)
        return BAD_INPUT, (f"internal error, please report it: {said}; {report_exception(exc)}",)
    return (code, ()) if isinstance(code, int) else (OK, ())


def _misuse(error: CycloptsError, tokens: Sequence[str]) -> str:
    """Return in one line what is wrong with arguments."""
    if isinstance(error, UnusedCliTokensError):
        return f"too many arguments: {one_line(' '.join(map(shlex.quote, error.unused_tokens or ())))}"
    if isinstance(error, MissingArgumentError) and error.argument is not None:
        name, meaning = error.argument.name, error.argument.parameter.help or ""
        what = "needs a value" if name in tokens else "is missing"
        return one_line(f"{_command_in(tokens)}: {name} {what}: {meaning.rstrip('.')}")
    return one_line(str(error))


def _command_in(tokens: Sequence[str]) -> str:
    """Return the command that arguments name, with `plan` in front; `plan` alone where none is named."""
    commands = {name for name in app if not name.startswith("-")}
    return next((f"plan {word}" for word in tokens if word in commands), "plan")


def _mistyped_command(tokens: Sequence[str]) -> str | None:
    """Return a hint if the first word is neither a file nor a command, but could be meant as one."""
    word = tokens[0] if tokens else ""
    commands = [name for name in app if not name.startswith("-")]
    # os.path, since Path raises where a name is too long for a file.
    if word in commands or word.startswith("-") or Path(word).suffix or os.path.exists(word):  # noqa: PTH110
        return None
    if not word.isidentifier():
        return None
    close = get_close_matches(word, commands, n=1)
    meant = _MEANT.get(word) or (f"did you mean {close[0]}?" if close else "plan --help lists the commands")
    return f"no command or file {word!r}; {meant}"
