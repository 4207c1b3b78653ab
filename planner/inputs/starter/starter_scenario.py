"""A first scenario for a model, and code that gives it made-up samples: both run at once, to be replaced."""

import json
import keyword
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from string import Template

from planner.errors import OutputError, UsageError
from planner.formatting import size_text
from planner.inputs.inspect_source import find_model
from planner.inputs.starter.starter_pictures import PictureInput, may_be_boxes, may_be_yolox
from planner.inputs.starter.starter_samples import MadeUp, made_up_inputs
from planner.scenario.file_kind import SCENARIO_SUFFIXES
from planner.scenario.loader import VARIABLE, parse_conversion
from planner.scenario.model_paths import APPLICATION, expanded, is_object
from profiling.errors import ModelError
from profiling.inspection import Inspection
from profiling.printable_text import one_line
from profiling.progress import Progress, silent

_SAMPLES, _FEW_SAMPLES = 64, 16
_LARGE_BYTES = 2**21  # of one sample, above which there are few
_NO_PICTURE = "{resize_shorter: 256, crop: 224}"
_SCALES_ITSELF = "This network scales pixels from 0 to 255 itself:"
_SCALED_BEFORE = (
    "divide_by: 255 makes values from 0 to 1; leave it out for a network that scales pixels itself:"
)


@dataclass(frozen=True, slots=True)
class StarterFiles:
    """What `plan init` writes.

    Parameters
    ----------
    scenario, samples
        Files to write.
    scenario_text, samples_text
        Their contents: YAML, and Python.
    runs
        Whether the model runs on the samples.
    """

    scenario: Path
    scenario_text: str
    samples: Path
    samples_text: str
    inspection: Inspection
    runs: bool

    def write(self) -> None:
        """Write both files.

        Raises
        ------
        OutputError
            If one exists already, or cannot be written; then neither is left behind.
        """
        check_new(self.scenario, self.samples)
        try:
            self.samples.write_text(self.samples_text, encoding="utf-8")
            self.scenario.write_text(self.scenario_text, encoding="utf-8")
        except OSError as exc:
            self.samples.unlink(missing_ok=True)
            self.scenario.unlink(missing_ok=True)
            raise OutputError(f"--out {self.scenario}: cannot be written: {exc.strerror}") from exc


def starter_files(
    model: str,
    settings: Sequence[str],
    input_shapes: Mapping[str, tuple[int, ...]],
    target: Path,
    progress: Progress = silent,
) -> StarterFiles:
    """Return a scenario for a model, between a slow device and this machine, and what gives its samples.

    Parameters
    ----------
    model, settings, input_shapes
        As `inspect_source` takes them.
    target
        The scenario's file.

    Raises
    ------
    UsageError
        If the model is a scenario, or the target is not named like one.
    OutputError
        If a file exists already, or there is no folder for it.
    ModelError, ScenarioError
        If the model cannot be read, converted or planned, or the settings are wrong.
    """
    if Path(model).suffix in SCENARIO_SUFFIXES:
        raise UsageError(f"{model} is a scenario already: plan {model}")
    if target.suffix not in SCENARIO_SUFFIXES:
        raise UsageError(f"--out {target}: a scenario's name ends in {' or '.join(SCENARIO_SUFFIXES)}")
    if not (model.startswith(APPLICATION) or is_object(model) or expanded(model).exists()):
        raise ModelError(f"model: {model} does not exist")
    samples = target.with_name(f"{_module_name(target.stem)}.py")
    check_new(target, samples)
    located = _located(model, target)
    variable = VARIABLE.search(located)
    if variable is not None:
        raise UsageError(
            f"{located}: a scenario takes {variable[0]} for an environment variable; rename the file"
        )
    found = find_model(model, settings, input_shapes, progress)
    inspection, _ = found.inspect()
    made_up = made_up_inputs(found.file, found.input_shapes)
    picture = next(iter(made_up.pictures.values()), None) if len(inspection.inputs) == 1 else None
    text = _scenario_text(inspection, located, settings, input_shapes, samples.stem, picture)
    code = _samples_text(inspection, made_up)
    return StarterFiles(target, text, samples, code, inspection, made_up.runs)


def check_new(*files: Path) -> None:
    """Refuse to write over a file, or where there is no folder.

    Raises
    ------
    OutputError
        Naming the first such file.
    """
    for file in files:
        if file.exists():
            raise OutputError(f"{file} exists already; give another name with --out")
        if not file.parent.is_dir():
            raise OutputError(f"--out {file}: there is no folder {file.parent}")


def _module_name(stem: str) -> str:
    """Return the name of a module for a scenario's samples, which Python can import."""
    name = re.sub(r"\W", "_", f"{stem}_samples", flags=re.ASCII)
    return f"_{name}" if name[0].isdigit() or keyword.iskeyword(name) else name


def _located(model: str, target: Path) -> str:
    """Return how a scenario names a model that is given from the current folder."""
    if model.startswith(APPLICATION):
        return model
    here = target.parent.resolve()
    if is_object(model):
        folder, _, name = model.rpartition("/")
        place = expanded(folder).resolve()
        return name if place == here else f"{place}/{name}"
    path = expanded(model).resolve()
    located = str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
    return f"./{located}" if located.startswith(APPLICATION) else located


def _scenario_text(
    inspection: Inspection,
    model: str,
    settings: Sequence[str],
    input_shapes: Mapping[str, tuple[int, ...]],
    module: str,
    picture: PictureInput | None,
) -> str:
    able = sum(not unit.obstacle for unit in inspection.units)
    is_detector = picture is not None and may_be_boxes(inspection.outputs)
    given = ""
    if input_shapes:
        given += f"input_shapes: {_yaml({name: list(shape) for name, shape in input_shapes.items()})}\n"
    if settings:
        conversion = parse_conversion(settings, Path.cwd())
        given += f"conversion: {_yaml(conversion.model_dump(mode='json', exclude_unset=True))}\n"
    return _SCENARIO.substitute(
        title=one_line(inspection.model),
        units=len(inspection.units),
        able=able,
        weights=size_text(inspection.weight_bytes),
        weights_int8=size_text(inspection.weight_bytes_int8),
        model=_yaml(model),
        given=given,
        module=module,
        pictures=_detector_text(picture, is_yolox=may_be_yolox(inspection.outputs, picture))
        if picture and is_detector
        else _classes_text(picture),
        metric="# metric: coco_ap  # REPLACE: COCO's average precision, where data have annotations\n\n"
        * is_detector,
        metric_drop="  # metric_drop: 0.02           # needs metric\n" * is_detector,
    )


def _classes_text(picture: PictureInput | None) -> str:
    """Return how pictures with classes are given."""
    image = _NO_PICTURE if picture is None else picture.image()
    is_scaled = picture is not None and picture.is_scaled
    return "".join(
        (
            "  # Pictures, in a folder for each class or with a table of labels.\n",
            f"  # {_SCALES_ITSELF if is_scaled else _SCALED_BEFORE}\n",
            f"  # calibration: {{images: pictures, labels: folders, image: {image}}}\n",
            f"  # calibration: {{images: pictures, labels: labels.tsv, image: {image}}}\n",
        )
    )


def _detector_text(picture: PictureInput, *, is_yolox: bool) -> str:
    """Return how pictures with annotations are given to a detector: that of YOLOX, or of YOLOv5 and later."""
    side = max(picture.height, picture.width)
    yolo = picture.image(letterbox=side, pad=114)
    yolox = replace(picture, is_scaled=True).image(
        letterbox=side, pad=114, letterbox_at="top_left", channels="bgr"
    )
    image, other = (yolox, yolo) if is_yolox else (yolo, yolox)
    lines = [
        "Pictures with COCO annotations, judged by the metric below. "
        + ("This is for YOLOX; YOLOv5 wants:" if is_yolox else "YOLOX wants this instead:"),
        f"image: {other}",
        f"calibration: {{images: pictures, labels: instances.json, image: {image}}}",
        f"evaluation: {{images: pictures, labels: instances.json, image: {image}}}",
    ]
    return "".join(f"  # {text}\n" for text in lines)


def _samples_text(inspection: Inspection, made_up: MadeUp) -> str:
    large = sum(end.size_bytes for end in inspection.inputs) > _LARGE_BYTES
    count = _FEW_SAMPLES if large else _SAMPLES
    lines = (
        f"{_python(end.name)}: {made_up.code(end.name, end.dtype, end.shape)}" for end in inspection.inputs
    )
    arrays = "\n".join(f"            {line}," for line in lines)
    return _SAMPLES_CODE.substitute(arrays=arrays, count=count, fewer=count // 2)


def _yaml(value: object) -> str:
    """Return a value as JSON, which is YAML, too, whatever a name holds."""
    return json.dumps(value, ensure_ascii=True)


def _python(text: str) -> str:
    return ascii(text)


_SCENARIO = Template("""\
# $title: $units units, $able of them can be quantized; weights $weights, in int8 $weights_int8.
# This runs as it is. What is marked REPLACE is made up: put in what is true for you.
model: $model
$given
# REPLACE: random numbers show speed and sizes, but no errors that mean anything.
data:
  calibration: {reader: "$module:Calibration"}  # chooses the ranges of int8
  evaluation: {reader: "$module:Evaluation"}    # judges the finished plan, and nothing else
  # calibration: {npz: calibration.npz, labels: label}
$pictures
$metric# REPLACE: this machine is measured; the device is taken to be ten times slower.
# Better: plan profile SCENARIO --device device --bundle DIR, run it there, and name the profile here.
devices:
  - {name: device, scaled_from: server, speedup: 0.1}
  - {name: server, profile: measure, threads: 1}

# REPLACE: what the network carries.
links:
  - {from: device, to: server, bandwidth_mbit_per_s: 10, latency_ms: 5}
  - {from: server, to: device, bandwidth_mbit_per_s: 10, latency_ms: 5}

source: device  # where inputs arise
sink: device    # where answers are needed

# objective: latency  # or throughput, energy, makespan
# precisions: [fp32, int8]  # default for a measured device: auto, which tries all that ONNX Runtime has

# REPLACE: what a plan has to keep.
budget:
  noise_relative_rms: 0.1  # error of the outputs, relative to their size
  # accuracy_drop: 0.01         # needs labels
$metric_drop  # memory_mib: {device: 4}
""")
_SAMPLES_CODE = Template('''\
"""Samples for the scenario beside this file: REPLACE, these are random numbers.

An object of each class is made once, and `get_next` called until it returns None. Each sample is a dict of
input name -> array. With labels, an object has `labels`: a list with one class index per sample.
"""

import numpy as np


class Calibration:
    """Samples that choose the ranges of int8: a few hundred real ones are enough."""

    note = "random numbers, written by plan init: errors and accuracies mean nothing yet"

    def __init__(self, samples=$count, seed=1):
        self._rng = np.random.default_rng(seed)
        self._left = samples

    def get_next(self):
        if self._left == 0:
            return None
        self._left -= 1
        rng = self._rng
        return {
$arrays
        }


class Evaluation(Calibration):
    """Other samples, on which the finished plan is judged."""

    def __init__(self):
        super().__init__(samples=$fewer, seed=2)
''')
