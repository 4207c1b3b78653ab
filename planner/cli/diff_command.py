"""The command `plan diff`: two plans side by side."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from planner.cli.command_parameters import Json, examples
from planner.cli.exit_codes import OK
from planner.cli.process.terminal import print_text, terminal
from planner.errors import UsageError
from planner.json_record import to_json

EXAMPLES = examples("plan diff plans/before plans/after", "plan diff plans/before plans/after --json")


def diff(
    before: Annotated[Path, Parameter(help="A plan's folder.")],
    after: Annotated[Path, Parameter(help="The folder of another one.")],
    /,
    *,
    json: Json = False,
) -> int:
    """Compare two plans: scenario, units that moved, tensors on links, costs beside their spread."""
    from planner.output.models_folder import is_models_folder
    from planner.output.saved_plan import read_plan, read_profiles
    from planner.plan.plan_diff import diff_plans
    from planner.report.tables.plan_diff_table import plan_diff_table

    for folder in (before, after):
        if is_models_folder(folder):
            raise UsageError(f"{folder}: holds several models; compare one of them: {folder}/NAME")
    plans = read_plan(before), read_plan(after)
    found = diff_plans(*plans, *(read_profiles(folder) for folder in (before, after)))
    if json:
        print_text(to_json(found))
    else:
        terminal().print(plan_diff_table(found))
    return OK
