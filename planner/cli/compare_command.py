"""The command `plan compare`: the best plans over bandwidths and budgets, beside simpler ways to plan."""

import shlex
from collections.abc import Iterator, Sequence
from math import sqrt
from os import cpu_count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from planner.cli.command_parameters import Json, ScenarioFile, Settings, examples, whole_number
from planner.cli.exit_codes import OK, USAGE
from planner.cli.process.interrupts import INTERRUPT
from planner.cli.process.terminal import fail, print_text, terminal
from planner.cli.process.terminal_progress import terminal_progress
from planner.formatting import three_digits
from planner.json_record import to_json
from planner.plan.bandwidth_ranges import FACTOR
from planner.report.tables.table_style import line
from planner.scenario.loader import load_ready_models
from planner.scenario.several_models import SeveralModels

if TYPE_CHECKING:
    from planner.comparison.bandwidth_and_budget_sweep import CompareResult
    from planner.comparison.comparison_record import BestPlanRange

EXAMPLES = examples(
    "plan compare scenario.yaml --bandwidth 0.1..1000",
    "plan compare scenario.yaml --bandwidth 1,10 --noise 0.01,0.05 --memory camera=1,2",
    "plan compare scenario.yaml --pareto latency,noise --verify",
    "plan compare scenario.yaml --plans 2 --trace drive.csv --hysteresis 0.1",
    "plan compare two-models.yaml --requests-per-s 1..100",
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
    metric_drop: Annotated[str | None, Parameter(help="Values of budget.metric_drop.")] = None,
    memory: Annotated[str | None, Parameter(help="Values of a device's memory: camera=1,2 (MiB).")] = None,
    pareto: Annotated[
        str | None, Parameter(help="Quantities to trade against each other: latency,noise or with energy.")
    ] = None,
    points: Annotated[
        int, Parameter(converter=whole_number, help="Plans to find on the Pareto front, at most.")
    ] = 12,
    plans: Annotated[
        int | None, Parameter(converter=whole_number, help="Choose so many plans to hold, and export them.")
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
        int | None, Parameter(converter=whole_number, help="Processes at once; default: one per core.")
    ] = None,
    out: Annotated[Path | None, Parameter(help="Folder to write; default comparisons/SCENARIO.")] = None,
    json: Json = False,
    settings: Settings = None,
) -> int:
    """Compare the best plans over bandwidths and budgets, and with simpler ways to plan.

    With objective latency, every bandwidth at which the best plan changes is found exactly. An interrupted
    comparison goes on where it stopped when it is run again.
    """
    from planner.cli.models_commands import compare_several
    from planner.comparison.bandwidth_and_budget_sweep import compare_scenario
    from planner.comparison.compare_options import CompareOptions, compare_request
    from planner.output.comparison_folder import check_comparison, write_comparison
    from planner.report.tables.comparison_table import comparison_table

    loaded = load_ready_models(scenario, settings or ())
    options = CompareOptions(
        bandwidth=bandwidth,
        links=tuple(link or ()),
        noise=noise,
        accuracy_drop=accuracy_drop,
        metric_drop=metric_drop,
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
            return fail(USAGE, "several models are compared over --requests-per-s, and over nothing else")
        return compare_several(loaded, requests_per_s, folder, json=json)
    if requests_per_s is not None:
        return fail(USAGE, "--requests-per-s: is of several models; this scenario has one")
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
        for text in (f"written to {folder}", *_next_steps(compared, scenario, folder, settings or ())):
            console.print(line(text), soft_wrap=True)
    return OK


def _next_steps(
    compared: "CompareResult", scenario: Path, folder: Path, settings: Sequence[str]
) -> list[str]:
    """Return what people do with the plans, as they can paste it."""
    record, place, file = compared.record, shlex.quote(str(folder)), shlex.quote(str(scenario))
    steps = []
    if record.plan_set is not None:
        number = record.plan_set.plans[0].plan
        steps += [
            f"plan deploy {place} --out deploy    # all of these plans, which follow the bandwidth",
            f"plan deploy {place} --plan {number} --out deploy    # one of them alone",
            f"plan run {place} --plan {number} --input {file} --output answers.npz    # on its samples",
        ]
    if record.pieces:
        piece = next((one for one in record.pieces if record.plans[one.plan].link_s), record.pieces[0])
        words = ["plan", str(scenario), *_as_settings([*settings, *_settings_of(compared, piece)])]
        words += ["--out", f"plans/{folder.name}-{piece.plan}"]
        steps.append(f"{shlex.join(words)}    # plan {piece.plan} with a report: planned in its range")
    return [f"{'next: ' if n == 0 else '      '}{step}" for n, step in enumerate(steps)]


def _as_settings(settings: Sequence[str]) -> Iterator[str]:
    for setting in settings:
        yield from ("--set", setting)


def _settings_of(compared: "CompareResult", piece: "BestPlanRange") -> Iterator[str]:
    """Yield what sets all links that varied to a bandwidth of a range, and budgets that did to its own."""
    record, links = compared.record, compared.measured.scenario.links
    value = three_digits(sqrt(piece.low * piece.high))
    for number, link in enumerate(links):
        if link.name in record.links:
            key = number if "." in link.name else link.name
            own = f"{float(value) * link.bandwidth_mbit_per_s:.4g}" if record.unit == FACTOR else value
            yield f"links.{key}.bandwidth_mbit_per_s={own}"
    for budget, most in piece.budgets.items():
        yield f"budget.{budget}={most:g}"
