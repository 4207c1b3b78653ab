"""What a model is made of, whatever it comes from: converted first if it is no ONNX file."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from planner.conversion.cached_conversion import Converted, convert
from planner.conversion.equivalence_check import check_on_random, check_on_samples
from planner.conversion.model_source import conversion_request, tflite_request
from planner.conversion.provenance import ConvertedFrom
from planner.conversion.random_samples import random_samples
from planner.conversion.request import ConversionRequest, TfliteForm
from planner.errors import UsageError
from planner.inputs.prepared_scenario import few_samples, group_units, load_datasets, load_source
from planner.scenario.file_kind import SCENARIO_SUFFIXES
from planner.scenario.loader import load_ready_scenario, parse_conversion
from planner.scenario.model_paths import expanded, located_model
from planner.scenario.schema import ConversionSpec, Scenario
from profiling.inspection import Inspection, UnitFacts, inspect_model
from profiling.progress import Progress, silent
from profiling.runtime_names import LITERT, TENSORFLOW
from profiling.several_runtimes.block_graph import BlockGraph
from profiling.stage_session import naming_litert
from profiling.tensorflow_runtime.saved_model_graph import IN_FLOAT

_RANDOM_SAMPLES = 8
_RANDOM_RANGES = "ranges of integers are of random numbers: seconds and structure are real, answers are not"


def inspect_source(
    model: str,
    settings: Sequence[str],
    input_shapes: Mapping[str, tuple[int, ...]],
    progress: Progress = silent,
) -> tuple[Inspection, ConvertedFrom | None]:
    """Return what a model is made of, and what it was before it was converted.

    Parameters
    ----------
    model
        As a scenario names it, or a scenario file.
    settings
        `key=value` of the scenario's `conversion`.
    input_shapes
        Input name -> whole shape, where a dimension other than the batch is dynamic.

    Raises
    ------
    ModelError
        If it cannot be read, converted or planned.
    ScenarioError
        If the settings, or the scenario, are wrong.
    """
    if Path(model).suffix in SCENARIO_SUFFIXES:
        if settings or input_shapes:
            raise UsageError("plan inspect SCENARIO.yaml takes conversion and input_shapes from the scenario")
        scenario = load_ready_scenario(Path(model))
        return inspect_scenario(scenario, progress)
    return find_model(model, settings, input_shapes, progress).inspect()


def inspect_for_litert(
    model: str,
    settings: Sequence[str],
    input_shapes: Mapping[str, tuple[int, ...]],
    progress: Progress = silent,
) -> tuple[Inspection, ConvertedFrom | None]:
    """Return what a model is made of for LiteRT, and what it was before it became a `.tflite` file.

    Parameters
    ----------
    settings
        `key=value` of the scenario's `conversion`; of a `.tflite` file `signature=NAME`, if it has several.

    Raises
    ------
    ModelError
        If it cannot be read or converted, or an extra is not installed.
    ScenarioError
        If the settings are wrong.
    UsageError
        If it is a scenario.
    """
    if Path(model).suffix in SCENARIO_SUFFIXES:
        raise UsageError("--runtime litert takes a model, no scenario")
    current_folder = Path.cwd()
    conversion, shapes = parse_conversion(settings, current_folder), dict(input_shapes)
    return _inspect_litert(model, located_model(model, current_folder), conversion, shapes, progress)


def _inspect_litert(
    shown: str,
    model: str,
    conversion: ConversionSpec,
    shapes: dict[str, tuple[int, ...]],
    progress: Progress,
) -> tuple[Inspection, ConvertedFrom | None]:
    with naming_litert():
        from profiling.litert.inspection import inspect_litert
    request = tflite_request(model, conversion, shapes)
    if request is None:
        found = inspect_litert(expanded(model), shapes, conversion.signature or "")
        return replace(found, model=shown), None
    converted, random_ranges = _converted_for_litert(request, progress)
    check = check_on_random(converted)
    if random_ranges:
        check = msgspec.structs.replace(check, notes=(*check.notes, _RANDOM_RANGES))
    return replace(inspect_litert(converted.path, {}), model=shown), check


def _converted_for_litert(request: ConversionRequest, progress: Progress) -> tuple[Converted, bool]:
    """Return a model as a `.tflite` file, and whether its ranges are of random numbers."""
    form = request.form
    if not isinstance(form, TfliteForm) or not form.quantization.needs_samples:
        return convert(request, progress), False
    # What its inputs are is known once it is converted.
    as_it_is = convert(msgspec.structs.replace(request, form=TfliteForm()), progress).conversion
    samples = random_samples(as_it_is.inputs, _RANDOM_SAMPLES)
    return convert(request, progress, samples), not as_it_is.quantized


def inspect_scenario(
    scenario: Scenario, progress: Progress = silent
) -> tuple[Inspection, ConvertedFrom | None]:
    """Return what the model of a scenario is made of, and what it was before it was converted."""
    if scenario.has_blocks or LITERT in scenario.runtimes:
        shapes = {name: tuple(shape) for name, shape in scenario.input_shapes.items()}
        found = _inspect_litert(scenario.model, scenario.model, scenario.conversion, shapes, progress)
        return (_in_blocks(found[0], scenario, progress), found[1]) if scenario.has_blocks else found
    source = load_source(scenario, progress)
    data = load_datasets(scenario, source)
    samples = data.calibration.samples
    if source.converted is None:
        shapes = {name: tuple(shape) for name, shape in scenario.input_shapes.items()}
        return inspect_model(Path(scenario.model), shapes, samples), None
    check = check_on_samples(source.converted, few_samples(data.calibration), progress)
    inspection = inspect_model(source.converted.path, {}, samples)
    return replace(inspection, model=source.converted.request.shown), check


def _in_blocks(inspection: Inspection, scenario: Scenario, progress: Progress) -> Inspection:
    """Return what a model is made of where devices run two runtimes, which have blocks of units in common.

    Parameters
    ----------
    inspection
        Of the model in LiteRT, which is the first of the runtimes: a block takes what its units take there.
    """
    source = load_source(scenario, progress)
    graph = group_units(scenario, source, load_datasets(scenario, source)).graph
    if not isinstance(graph, BlockGraph):
        raise TypeError("a model in several runtimes has no blocks")
    units = {unit.name: unit for unit in inspection.units}
    inside = [[units[graph.first.graph.units[u].name] for u in block] for block in graph.first.units]
    everywhere = IN_FLOAT if scenario.runtimes == (TENSORFLOW,) else ""
    blocks = (
        UnitFacts(
            name=block.name,
            op_types=block.op_types,
            obstacle=everywhere or block.obstacle,
            quantized=block.quantized,
            weight_bytes=block.weight_bytes,
            weight_bytes_int8=block.weight_bytes if everywhere or block.obstacle else block.weight_bytes_int8,
            output_bytes=sum(graph.tensors[name].size_bytes for name in block.outputs),
            fp32_s=_sum_if_known(unit.fp32_s for unit in inside[block.index]),
        )
        for block in graph.units
    )
    return replace(inspection, units=tuple(blocks), runtime=" and ".join(scenario.runtimes))


def _sum_if_known(seconds: Iterable[float | None]) -> float | None:
    known = list(seconds)
    return None if None in known else sum(one for one in known if one is not None)


@dataclass(frozen=True, slots=True)
class FoundModel:
    """A model that no scenario names, as an ONNX file.

    Parameters
    ----------
    file, input_shapes
        What `load_model` takes.
    named
        As the user calls it.
    """

    file: Path
    input_shapes: Mapping[str, tuple[int, ...]]
    named: str
    converted: Converted | None = None

    def inspect(self) -> tuple[Inspection, ConvertedFrom | None]:
        """Return what the model is made of, and what it was before it was converted."""
        # There are no samples without a scenario.
        check = check_on_random(self.converted) if self.converted else None
        return replace(inspect_model(self.file, self.input_shapes), model=self.named), check


def find_model(
    model: str,
    settings: Sequence[str],
    input_shapes: Mapping[str, tuple[int, ...]],
    progress: Progress = silent,
) -> FoundModel:
    """Return a model as an ONNX file, converted if it is none; parameters and errors as `inspect_source`."""
    current_folder = Path.cwd()
    conversion = parse_conversion(settings, current_folder)
    shapes = dict(input_shapes)
    request = conversion_request(located_model(model, current_folder), conversion, shapes)
    if request is None:
        return FoundModel(Path(model), shapes, model)
    converted = convert(request, progress)
    return FoundModel(converted.path, {}, model, converted)
