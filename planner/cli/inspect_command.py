"""The command `plan inspect`: what a model holds, or which libraries are installed."""

from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import Parameter

from planner.cli.command_parameters import Conversion, Json, Shape, examples, input_shape
from planner.cli.exit_codes import OK, USAGE
from planner.cli.process.terminal import fail, print_text, terminal
from planner.cli.process.terminal_progress import terminal_progress
from planner.json_record import to_json
from planner.report.tables.table_style import line
from planner.scenario.file_kind import SCENARIO_SUFFIXES
from planner.scenario.loader import load_ready_models
from planner.scenario.several_models import SeveralModels

EXAMPLES = examples(
    "plan inspect model.onnx --shape image=1,3,224,224",
    "plan inspect keras:MobileNetV3Small",
    "plan inspect keras:ResNet50 --conversion weights=imagenet",
    "plan inspect exported_model --conversion signature=serve",
    "plan inspect --versions",
)


def inspect(
    model: Annotated[
        str | None,
        Parameter(help="An ONNX, Keras, SavedModel or TFLite model, keras:NAME, or a scenario file."),
    ] = None,
    /,
    *,
    conversion: Conversion = None,
    shape: Shape = None,
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
            return fail(USAGE, "--versions is of the installation: leave out the model and its options")
        return _versions(json=json)
    if model is None:
        return fail(USAGE, "inspect wants a MODEL, or --versions (plan inspect --help shows how)")
    from planner.cli.models_commands import inspect_several
    from planner.inputs.inspect_source import inspect_source
    from planner.report.tables.inspection_table import inspection_table
    from planner.report.tables.plan_tables import conversion_lines

    if Path(model).suffix in SCENARIO_SUFFIXES and not (conversion or shape):
        loaded = load_ready_models(Path(model))
        if isinstance(loaded, SeveralModels):
            return inspect_several(loaded, json=json)
    shapes = dict(input_shape(text) for text in shape or ())
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
