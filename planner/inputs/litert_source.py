"""A model as LiteRT takes it, converted if it is no `.tflite` file, and as it is measured."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from planner.conversion.cached_conversion import Converted, convert
from planner.conversion.model_source import saved_model_request, tflite_request
from planner.conversion.request import ConversionRequest, TfliteForm, TfliteQuantization
from planner.errors import DataError
from planner.inputs.dataset import Input
from planner.inputs.load_samples import check_names, load_data
from planner.scenario.schema import Scenario
from profiling.arrays import Feeds
from profiling.errors import ModelError
from profiling.graph.any_model import Stage
from profiling.graph.unit_graph import ModelGraph
from profiling.litert.cut import whole_stage
from profiling.litert.load import LitertModel, load_litert, parse_litert, why_an_output_is_lost
from profiling.litert.not_run import flex_wanted, why_not_run
from profiling.litert.planning.litert_model import LitertRuntimeModel
from profiling.litert.shapes import with_shapes
from profiling.litert.unit_graph import build_litert_graph
from profiling.progress import Progress
from profiling.runtime_names import LITERT, TENSORFLOW
from profiling.several_runtimes.several_runtimes_model import SeveralRuntimesModel, join_runtimes
from profiling.tensorflow_runtime.saved_model_graph import SavedModelGraph

_WANTED_BY_PLANS = "; a plan for runtime tensorflow is made over the tensors of a .tflite file, too"


def load_tflite(scenario: Scenario, progress: Progress) -> tuple[Stage, Converted | None]:
    """Return a scenario's model as a `.tflite` one with static shapes, and how it was converted.

    Raises
    ------
    ModelError
        If it cannot be read or converted, or needs operators that LiteRT has not.
    """
    shapes = {name: tuple(shape) for name, shape in scenario.input_shapes.items()}
    if TENSORFLOW in scenario.runtimes:  # it takes fewer models than LiteRT, and LiteRT may be in no device
        saved_model_request(scenario.model, scenario.conversion, shapes)
    request = tflite_request(scenario.model, scenario.conversion, shapes)
    if request is None:
        signature = scenario.conversion.signature or ""
        return whole_stage(with_shapes(_runnable(Path(scenario.model), signature), shapes)), None
    # Before minutes of conversion.
    check_names(scenario.data.calibration, "data.calibration")
    check_names(scenario.data.evaluation, "data.evaluation")
    converted = convert(request, progress, _samples(scenario, request, progress))
    flex = converted.conversion.flex_operators
    if flex:
        wanted_by = "" if LITERT in scenario.runtimes else _WANTED_BY_PLANS
        raise ModelError(f"model: {request.shown} {flex_wanted(flex)}{wanted_by}")
    return whole_stage(with_shapes(_runnable(converted.path, shown=request.shown), {})), converted


def _runnable(path: Path, signature: str = "", shown: str = "") -> LitertModel:
    model = load_litert(path, signature)
    if why := why_not_run(model) or why_an_output_is_lost(model):
        raise ModelError(f"model: {shown or model.shown} {why}")
    return model


def litert_model_of(source: Stage, shown: str) -> LitertRuntimeModel:
    """Return a source as it is measured."""
    return LitertRuntimeModel(build_litert_graph(with_shapes(parse_litert(source.content, shown), {})))


def model_in_runtimes(
    source: Stage, shown: str, others: Sequence[ModelGraph | SavedModelGraph], samples: Sequence[Feeds]
) -> SeveralRuntimesModel:
    """Return a source as it is measured where devices run several runtimes.

    Raises
    ------
    ModelError
        If the forms of the model do not compute the same.
    """
    litert = build_litert_graph(with_shapes(parse_litert(source.content, shown), {}))
    return join_runtimes(litert, others, samples)


def _samples(scenario: Scenario, request: ConversionRequest, progress: Progress) -> list[Feeds]:
    """Return calibration samples for a conversion that looks for ranges; none for others."""
    form = request.form
    if not isinstance(form, TfliteForm) or not form.quantization.needs_samples:
        return []
    # What its inputs are is known once it is converted.
    plain = convert(msgspec.structs.replace(request, form=TfliteForm()), progress).conversion
    floats = [end.name for end in plain.inputs if end.dtype.startswith("float")]
    if form.quantization is TfliteQuantization.INTEGER_ONLY and floats:
        raise ModelError(
            f"conversion.quantization: integer_only makes integers of input {floats[0]!r}, so samples would "
            "have to be floats to convert and integers to plan; take full_integer, whose ends stay floats"
        )
    inputs = [Input(end.name, end.dtype, end.shape, channels_last=False) for end in plain.inputs]
    samples = list(load_data(scenario.data.calibration, inputs, "data.calibration").samples)
    if not samples:
        raise DataError("data.calibration: has no samples, which conversion.quantization needs")
    return samples
