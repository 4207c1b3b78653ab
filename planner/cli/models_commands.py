"""What the commands do with several models: each model's part, and what all share."""

from pathlib import Path

import msgspec

from planner.cli.exit_codes import BROKEN_BUDGET, INFEASIBLE, OK
from planner.cli.process.interrupts import INTERRUPT
from planner.cli.process.terminal import fail, print_text, terminal
from planner.cli.process.terminal_progress import terminal_progress
from planner.json_record import to_json
from planner.report.tables.table_style import line
from planner.scenario.several_models import SeveralModels
from profiling.printable_text import shown


def plan_several(several: SeveralModels, folder: Path, *, json: bool) -> int:
    """Plan several models together, verify each and write all."""
    from planner.output.models_folder import check_models_writable, write_models_outcome
    from planner.report.tables.models_table import models_table
    from planner.report.tables.plan_tables import undelivered_models_text
    from planner.run_models import plan_models

    check_models_writable(folder)
    with terminal_progress() as progress:
        outcome = plan_models(several, progress)
        INTERRUPT.check()
        if outcome.is_delivered:
            write_models_outcome(outcome, folder)
    if json:
        plans = {name: own.plan for name, own in outcome.outcomes.items()}
        print_text(to_json({"shared": outcome.record, "models": plans}))
    if not outcome.is_delivered:
        return fail(BROKEN_BUDGET if outcome.outcomes else INFEASIBLE, undelivered_models_text(outcome))
    if not json:
        _print_plans(folder)
        terminal().print(models_table(outcome.record))
        terminal().print(line(f"written to {folder}"), soft_wrap=True)
    return OK


def _print_plans(folder: Path) -> None:
    """Print each model's plan as it was written."""
    from planner.output.models_folder import read_models
    from planner.output.saved_plan import read_folder
    from planner.report.tables.plan_tables import plan_table

    for name, own_folder in read_models(folder)[1].items():
        terminal().print(line(f"model {name}"))
        terminal().print(plan_table(*read_folder(own_folder)))


def verify_several(folder: Path, *, json: bool) -> int:
    """Run the exported plan of each model on its evaluation data again."""
    from planner.export_and_verify import verify_plan
    from planner.output.models_folder import read_models
    from planner.output.saved_plan import read_folder
    from planner.report.tables.verification_table import verification_table

    plans, failures = {}, []
    for name, own_folder in read_models(folder)[1].items():
        saved, manifest = read_folder(own_folder)
        stages = [(stage.device, own_folder / stage.file) for stage in manifest.stages]
        whole = [own_folder / part.file for part in manifest.whole]
        with terminal_progress() as progress:
            outcome = verify_plan(saved, own_folder / manifest.model, stages, whole, progress)
        plans[name] = outcome.plan
        failures += [f"{name}: {text}" for text in outcome.failures]
        if not json:
            terminal().print(line(f"model {name}"))
            terminal().print(verification_table(saved, outcome.plan))
    if json:
        print_text(to_json({"models": plans}))
    return fail(BROKEN_BUDGET, f"verification failed: {'; '.join(failures)}") if failures else OK


def export_several(path: Path, out: Path) -> int:
    """Rebuild and split the saved plan of each model, without solving."""
    from planner.export_and_verify import export_plan
    from planner.output.models_folder import check_models_writable, read_models, write_models_export
    from planner.output.saved_plan import read_plan

    record, folders = read_models(path)
    check_models_writable(out)
    exported = {}
    with terminal_progress() as progress:
        for name, folder in folders.items():
            saved = read_plan(folder)
            exported[name] = saved, export_plan(saved, progress)
        source = path if path.is_dir() else path.parent
        write_models_export(record, exported, source, out)
    count = sum(len(built.stages) for _, built in exported.values())
    print_text(shown(f"{count} stages of {len(exported)} models written to {out}"))
    return OK


def inspect_several(several: SeveralModels, *, json: bool) -> int:
    """Show what each model of a scenario is made of."""
    from planner.inputs.inspect_source import inspect_scenario
    from planner.report.tables.inspection_table import inspection_table
    from planner.report.tables.plan_tables import conversion_lines

    found = {}
    for one in several.models:
        with terminal_progress() as progress:
            inspection, converted_from = inspect_scenario(one.scenario, progress)
        found[one.name] = msgspec.to_builtins(inspection) | {"converted_from": converted_from}
        if not json:
            lines = map(line, conversion_lines(converted_from))
            terminal().print(line(f"model {one.name}"))
            terminal().print(inspection_table(inspection), *lines, sep="\n")
    if json:
        print_text(to_json({"models": found}))
    return OK


def compare_several(several: SeveralModels, values: str, folder: Path, *, json: bool) -> int:
    """Compare the best plans of several models over the requests per second of all."""
    from planner.comparison.bandwidth_values import parse_rates
    from planner.comparison.request_rates import compare_rates
    from planner.output.rates_folder import check_rates, write_rates
    from planner.report.tables.rates_table import rates_table
    from planner.run_models import measure_models

    rates = parse_rates(values)
    check_rates(folder)
    with terminal_progress() as progress:
        record = compare_rates(measure_models(several, progress), rates, progress)
        INTERRUPT.check()
        write_rates(record, folder)
    if json:
        print_text(to_json(record))
    else:
        terminal().print(rates_table(record))
        terminal().print(line(f"written to {folder}"), soft_wrap=True)
    return OK
