"""The command `plan init`: a first scenario for a model."""

import shlex
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from planner.cli.command_parameters import Conversion, Shape, examples, input_shape
from planner.cli.exit_codes import OK
from planner.cli.process.terminal import print_text
from planner.cli.process.terminal_progress import terminal_progress
from profiling.printable_text import shown

EXAMPLES = examples(
    "plan init model.onnx",
    "plan init model.keras --out camera.yaml",
    "plan init model.onnx --shape tokens=1,128",
    "plan init keras:MobileNetV2 --conversion weights=imagenet",
)


def init(
    model: Annotated[
        str, Parameter(help="An ONNX, Keras, SavedModel or TFLite model, keras:NAME, or module:function.")
    ],
    /,
    *,
    out: Annotated[Path, Parameter(help="The scenario to write.")] = Path("scenario.yaml"),
    conversion: Conversion = None,
    shape: Shape = None,
) -> int:
    """Write a first scenario for a model, which runs at once on made-up samples.

    It holds a slow device and this machine, a link between them and an error budget, and says what to
    replace by what is true for you. Beside it lies the Python file that gives its samples.
    """
    from planner.inputs.starter.starter_scenario import starter_files

    with terminal_progress() as progress:
        files = starter_files(model, conversion or (), dict(map(input_shape, shape or ())), out, progress)
    files.write()
    inputs = ", ".join(
        f"{end.name} {end.dtype}[{','.join(map(str, end.shape))}]" for end in files.inspection.inputs
    )
    print_text(shown(f"{len(files.inspection.units)} units; inputs: {inputs}"))
    print_text(shown(f"written to {files.scenario} and {files.samples} (made-up samples: replace them)"))
    if not files.runs:
        print_text(shown(f"the model does not run on made-up samples: first put yours into {files.samples}"))
    print_text(shown(f"next: plan {shlex.quote(str(files.scenario))}"))
    return OK
