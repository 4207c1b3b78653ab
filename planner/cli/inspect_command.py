"""The command `plan inspect`: what a model holds, or which libraries are installed."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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

if TYPE_CHECKING:
    from planner.conversion.provenance import ConvertedFrom
    from profiling.inspection import Inspection


class InspectedRuntime(StrEnum):
    """What would run a model that is inspected."""

    ONNXRUNTIME = "onnxruntime"
    LITERT = "litert"


EXAMPLES = examples(
    "plan inspect model.onnx --shape image=1,3,224,224",
    "plan inspect keras:MobileNetV3Small",
    "plan inspect keras:ResNet50 --conversion weights=imagenet",
    "plan inspect exported_model --conversion signature=serve",
    "plan inspect net.tflite --runtime litert",
    "plan inspect net.keras --runtime litert --conversion quantization=dynamic",
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
    runtime: Annotated[
        InspectedRuntime,
        Parameter(help="What would run it: litert shows a .tflite file's operators and their modes."),
    ] = InspectedRuntime.ONNXRUNTIME,
    versions: Annotated[
        bool, Parameter(negative="", help="Show the libraries' installed and tested versions instead.")
    ] = False,
    json: Json = False,
) -> int:
    """Show a model's inputs, outputs and units, what can be quantized and why not, and what weighs.

    Models of Keras and TensorFlow need the extra: pip install 'splitquant[tensorflow]'. With --runtime litert
    they become .tflite files instead of ONNX models, and a .tflite file is not converted; that needs:
    pip install 'splitquant[litert]'.
    """
    if versions:
        if model or conversion or shape:
            return fail(USAGE, "--versions is of the installation: leave out the model and its options")
        return _versions(json=json)
    if model is None:
        return fail(USAGE, "inspect wants a MODEL, or --versions (plan inspect --help shows how)")
    from planner.cli.models_commands import inspect_several
    from planner.inputs.inspect_source import inspect_for_litert, inspect_source

    shapes = dict(input_shape(text) for text in shape or ())
    if runtime is InspectedRuntime.LITERT:
        with terminal_progress() as progress:
            found, converted_from = inspect_for_litert(model, conversion or (), shapes, progress)
        return _show(found, converted_from, json=json)
    if Path(model).suffix in SCENARIO_SUFFIXES and not (conversion or shape):
        loaded = load_ready_models(Path(model))
        if isinstance(loaded, SeveralModels):
            return inspect_several(loaded, json=json)
    with terminal_progress() as progress:
        found, converted_from = inspect_source(model, conversion or (), shapes, progress)
    return _show(found, converted_from, json=json)


def _show(found: "Inspection", converted_from: "ConvertedFrom | None", *, json: bool) -> int:
    from planner.report.tables.inspection_table import inspection_table
    from planner.report.tables.plan_tables import conversion_lines

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
