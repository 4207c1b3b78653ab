"""Models of Keras and TensorFlow of every kind, converted, checked and planned; needs the extra."""

import json
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from keras_conversions import SAMPLES, convert_together, failures, keras_samples
from npz_archives import arrays_of
from onnx import numpy_helper
from repository import ROOT
from tensorflow_extra import needs_tensorflow
from terminal_text import without_progress

from planner.cli.commands import main
from planner.conversion.cached_conversion import Converted, _cached_folder, _keep, convert
from planner.conversion.equivalence_check import check_on_random, check_on_samples
from planner.conversion.model_source import conversion_request
from planner.conversion.request import ConversionRequest, SourceKind
from planner.inputs.dataset import Input
from planner.inputs.load_samples import load_data
from planner.output.plan_folder import write_outcome
from planner.output.run_exported import run_folder
from planner.plan.plan_record import WireFormat
from planner.refinement.outcome import Outcome
from planner.run import plan_scenario
from planner.scenario.loader import load_scenario
from planner.scenario.model_paths import located_model
from planner.scenario.schema import ConversionSpec
from planner.scenario.validation import check_scenario
from profiling.errors import ModelError
from profiling.graph.unit_graph import build_graph
from profiling.onnx_io.load_model import load_model
from profiling.preparation.rewrite_steps import prepare_model

pytestmark = needs_tensorflow
needs_optimization = pytest.mark.skipif(
    find_spec("tensorflow_model_optimization") is None, reason="needs the extra: splitquant[qat]"
)
MODELS = """
import keras, tensorflow as tf
from keras_samples import Scale, network, stack, two_ends

objects = {"Scale": Scale}
not_objects = [3]
number = 3

def small(side=16):
    return network(keras, side)

@tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float32, name="row")])
def doubled(row):
    return {"twice": row * 2.0 + 1.0}

concrete = doubled.get_concrete_function()

@tf.function
def unsigned(row):
    return row

@tf.function(input_signature=[tf.TensorSpec([1, 4], tf.float32, name="row")])
def foreign(row):
    with tf.name_scope("odd_part"):
        return tf.raw_ops.Betainc(a=row, b=row, x=row)

def broken():
    raise RuntimeError("no such luck")

def exits():
    print("a word of its own")
    raise SystemExit(3)

def interrupts():
    raise KeyboardInterrupt

def leaves():
    import os
    os._exit(0)

def unsaid():
    class Inner(keras.Model):
        def call(self, x):
            return x + 1
    return Inner()
"""


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = keras_samples("plain", tmp_path_factory)
    shutil.copy(SAMPLES, folder)
    (folder / "my_models.py").write_text(MODELS)
    return folder


@pytest.fixture(scope="module")
def optimized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = keras_samples("optimized", tmp_path_factory)
    requests = [requested(folder, model, {}) for model in ("aware.h5", "pruned.h5")]
    converted_together(requests, tmp_path_factory)
    return folder


def requested(folder: Path, model: str, shapes: dict[str, tuple[int, ...]], **how) -> ConversionRequest:
    paths = {key: f"{folder}/{how[key]}" for key in ("weights", "custom_objects") if key in how}
    order = conversion_request(located_model(model, folder), ConversionSpec(**(how | paths)), shapes)
    assert order is not None
    return order


def converted(folder: Path, model: str, **how) -> Converted:
    return convert(requested(folder, model, {}, **how))


def converted_together(
    requests: list[ConversionRequest], tmp_path_factory, faulty: Sequence[ConversionRequest] = ()
) -> tuple[list[Converted], list[str]]:
    """Convert all in one process, and keep each in the cache, as `convert` does with one.

    Parameters
    ----------
    faulty
        Requests that come afterwards and fail; what is said of them is returned, too.
    """
    folders = [tmp_path_factory.mktemp("conversion") for _ in (*requests, *faulty)]
    code = convert_together([*requests, *faulty], folders)
    said = failures(folders)
    assert (code, "".join(said[: len(requests)])) == (int(bool(faulty)), "")
    made = [
        Converted(request, _keep(folder, _cached_folder(request)))
        for request, folder in zip(requests, folders, strict=False)
    ]
    return made, said[len(requests) :]


# What is converted for its model alone: name -> (model, input shapes, conversion).
TOGETHER: dict[str, tuple[str, dict[str, tuple[int, ...]], dict[str, object]]] = {
    "MobileNetV3Small": ("keras:MobileNetV3Small", {"input_layer": (1, 64, 64, 3)}, {}),
    **{
        model: (model, {}, {})
        for model in (
            "small.h5", "saved", "small.tflite", "two_ends.keras", "named.keras", "stack.keras", "stack.h5",
            "operators.keras", "wide.tflite", "sparse.tflite", "my_models:small", "my_models:stack",
            "my_models:doubled", "my_models:concrete",
        )
    },
    "my_models:small with weights": (
        "my_models:small", {}, {"weights": "small.weights.h5", "arguments": {"side": 16}},
    ),
    "margin": ("served", {}, {"signature": "margin"}),
    "score": ("served", {}, {"signature": "score"}),
    "custom layers": ("custom.keras", {}, {"custom_objects": "my_models:objects"}),
    "one custom layer": ("custom.keras", {}, {"custom_objects": "my_models:Scale"}),
    "MobileNet": ("keras:MobileNet", {}, {"arguments": {"input_shape": [32, 32, 3], "alpha": 0.25}}),
    "any_size.keras": ("any_size.keras", {"image": (1, 24, 20, 3)}, {}),
    "opset 13": ("small.keras", {}, {"opset": 13}),
}  # fmt: skip


@pytest.fixture(scope="module")
def worked_off(saved, tmp_path_factory) -> tuple[list[Converted], list[str]]:
    """Return what comes of `TOGETHER`, and what is said of each of `FAULTS`: one process does all in turn."""
    cut_in_half(saved)
    fine = [requested(saved, model, shapes, **how) for model, shapes, how in TOGETHER.values()]
    faulty = [requested(saved, model, {}, **how) for model, how, _ in FAULTS]
    return converted_together(fine, tmp_path_factory, faulty)


@pytest.fixture(scope="module")
def together(worked_off) -> dict[str, Converted]:
    return dict(zip(TOGETHER, worked_off[0], strict=True))


@pytest.fixture(scope="module")
def told(worked_off) -> list[str]:
    """Return what the process with TensorFlow says of every fault."""
    return worked_off[1]


def converted_once(saved: Path, together: dict[str, Converted], name: str) -> Converted:
    """Return what is converted together with others, or by itself; in the cache once a test needed it."""
    return together[name] if name in together else converted(saved, name)


def operators(made: Converted) -> list[str]:
    return [node.op_type for node in onnx.load(made.path).graph.node]


def ends(made: Converted) -> tuple[list[str], list[str]]:
    graph = onnx.load(made.path).graph
    return [value.name for value in graph.input], [value.name for value in graph.output]


@pytest.mark.parametrize(
    "model",
    [
        "small.keras",
        "small.h5",
        "saved",
        "small.tflite",
        "my_models:small",
        "my_models:small with weights",
    ],
)
def test_each_kind_becomes_the_same_network(saved, together, model):
    made = converted_once(saved, together, model)
    check = check_on_random(made)
    assert check.max_abs_difference <= 1e-5
    assert check.relative_rms_difference > 0  # the answers are not one array compared with itself
    units = build_graph(prepare_model(load_model(made.path, {}))).units
    found = [op for unit in units for op in unit.op_types if op in ("Conv", "Relu", "Clip", "Transpose")]
    assert found == ["Conv", "Relu", "Conv", "Clip", "Conv", "Relu"]
    assert len(units) == 6
    assert all(unit.quantizable for unit in units)


@pytest.mark.parametrize("model", ["small.keras", "small.h5", "saved", "my_models:small"])
def test_units_are_named_by_layer(saved, together, model):
    units = build_graph(prepare_model(load_model(converted_once(saved, together, model).path, {}))).units
    names = ["stem/Conv", "depthwise/Conv", "project/Conv", "pool/GlobalAveragePool"]
    assert [unit.name for unit in units][:4] == names
    assert units[2].nodes == ("project/Conv", "joined/Add", "joined_relu/Relu")


def test_several_ends_keep_the_names_of_their_dictionaries(together):
    made = together["two_ends.keras"]
    assert ends(made) == (["image", "meta"], ["chances", "logits"])
    names = [node.name for node in onnx.load(made.path).graph.node]
    assert {"encoder/conv/Conv", "encoder/conv/Conv_1", "logits/Gemm"} <= set(names)
    assert check_on_random(made).max_abs_difference <= 1e-5


def test_names_may_hold_any_letter_and_an_output_may_be_called_like_an_input(together):
    made = together["named.keras"]
    assert ends(made) == (["größe: 1"], ["größe: 1_output"])
    assert check_on_random(made).max_abs_difference <= 1e-6


@pytest.mark.parametrize("model", ["stack.keras", "stack.h5", "my_models:stack"])
def test_a_sequence_of_layers_is_a_model_too(together, model):
    made = together[model]
    assert [len(side) for side in ends(made)] == [1, 1]
    units = build_graph(prepare_model(load_model(made.path, {}))).units
    assert [unit.name for unit in units] == ["conv/Conv", "pool/GlobalAveragePool", "scores/Gemm"]
    assert 0 < check_on_random(made).max_abs_difference <= 1e-5


def test_a_tflite_file_keeps_the_names_of_its_signature(together):
    made = together["small.tflite"]
    assert ends(made) == (["image"], ["output_0"])
    assert made.conversion.inputs[0].channels_last


def test_operators_that_tf2onnx_lacks_or_gets_wrong_answer_as_keras_does(together):
    made = together["operators.keras"]
    session = ort.InferenceSession(made.path)
    names = [value.name for value in session.get_outputs()]
    with np.load(made.folder / "samples.npz") as samples, np.load(made.folder / "answers.npz") as answers:
        feeds = {name: samples[name][0] for name in samples.files}
        want = {name: answers[name][0] for name in answers.files}
    feeds["image"] = (
        np.moveaxis(feeds["image"], -1, 1) if made.conversion.inputs[0].channels_last else feeds["image"]
    )
    got = dict(zip(names, session.run(None, feeds), strict=True))
    assert {name: value.shape for name, value in got.items()} == {n: v.shape for n, v in want.items()}
    assert not [name for name in want if want[name].std() == 0]
    wrong = {
        n: np.abs(got[n] - want[n]).max()
        for n in want
        if not np.allclose(got[n], want[n], rtol=1e-4, atol=1e-5)
    }
    assert not wrong
    build_graph(prepare_model(load_model(made.path, {})))


def test_pictures_come_with_channels_first_and_other_inputs_as_they_are(saved, together):
    made = together["two_ends.keras"]
    shapes = [
        [d.dim_value for d in value.type.tensor_type.shape.dim] for value in onnx.load(made.path).graph.input
    ]
    # It slices the picture before it convolves it, so that a transpose is needed either way.
    assert shapes in ([[1, 3, 8, 8], [1, 4]], [[1, 8, 8, 3], [1, 4]])
    assert converted(saved, "small.keras").conversion.inputs[0].channels_last


@pytest.mark.parametrize("name", ["margin", "score"])
def test_a_signature_is_chosen_by_name(together, name):
    assert ends(together[name]) == (["features"], [name])


@pytest.mark.parametrize("model", ["my_models:doubled", "my_models:concrete"])
def test_functions_are_taken_as_they_are(together, model):
    made = together[model]
    assert ends(made) == (["row"], ["twice"])
    assert check_on_random(made).max_abs_difference == 0


@pytest.mark.parametrize("objects", ["custom layers", "one custom layer"])
def test_custom_layers_come_from_their_code(together, objects):
    assert check_on_random(together[objects]).max_abs_difference <= 1e-6


def test_open_dimensions_are_declared(together):
    made = together["any_size.keras"]
    assert made.conversion.inputs[0].shape == (1, 24, 20, 3)
    assert check_on_random(made).max_abs_difference <= 1e-5


def test_the_opset_is_chosen(together):
    made = together["opset 13"]
    assert [entry.version for entry in onnx.load(made.path).opset_import if not entry.domain] == [13]


def test_what_is_known_is_not_converted_again(saved):
    first = converted(saved, "small.keras")
    before = first.path.stat().st_mtime_ns
    shutil.copy(saved / "small.keras", saved / "copy.keras")
    again = converted(saved, "copy.keras")
    assert again.path == first.path
    assert again.path.stat().st_mtime_ns == before


def test_mobilenetv3_has_no_transposes_and_only_units_that_can_be_quantized(together):
    made = together["MobileNetV3Small"]
    assert "Transpose" not in operators(made)
    assert check_on_random(made).max_abs_difference <= 1e-4
    units = build_graph(prepare_model(load_model(made.path, {}))).units
    assert all(unit.quantizable for unit in units)
    assert "expanded_conv_project/Conv" in [unit.name for unit in units]


def test_random_weights_answer_to_what_they_are_shown(together):
    made = together["MobileNet"]
    rng = np.random.default_rng(0)
    pictures = rng.uniform(-1, 1, (2, 1, 3, 32, 32)).astype(np.float32)
    session = ort.InferenceSession(made.path)
    [picture] = session.get_inputs()
    one, other = (session.run(None, {picture.name: one})[0] for one in pictures)
    assert np.abs(one - other).max() > 0.05 * one.max()
    assert made.conversion.notes


_RANDOM = """
import sys
import keras
import numpy as np
from planner.conversion.tf_worker import random_weights
from planner.conversion.tf_worker.keras_applications import build_application
from planner.conversion.request import ConversionRequest, OnnxForm, SourceKind

model, _ = build_application(
    ConversionRequest(kind=SourceKind.APPLICATION, target="MobileNetV3Small", form=OnnxForm(opset=17))
)
shown = random_weights.random_images(224, 224, 3)
print(np.log(model(shown).numpy()).std(axis=-1).mean())
damped = [x.name for x in model.layers if getattr(x, "gamma", None) is not None and x.gamma[0] != 1]
adds = [x for x in model.layers if isinstance(x, keras.layers.Add)]
print(len(adds), len(damped), *damped)
"""


@pytest.fixture(scope="module")
def printed() -> list[str]:
    """Return the lines of scripts that need TensorFlow, run in one process."""
    call = [sys.executable, "-c", _RANDOM + _CONSTANTS]
    done = subprocess.run(call, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-4:]


def test_random_weights_behave_like_trained_ones(printed):
    """As keras.applications starts, all classes are nearly as probable, and errors grow with depth."""
    spread, branches = printed[:2]
    assert float(spread) == pytest.approx(2.0, rel=1e-3)
    assert branches.split()[:3] == ["6", "6", "expanded_conv_2_project_bn"]


def test_the_process_with_tensorflow_takes_no_files_beside_the_user_for_modules_and_says_nothing(
    saved, tmp_path, monkeypatch, capfd
):
    for name in ("keras", "planner", "numpy"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('mine')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
    assert converted(saved, "my_models:doubled").path.is_file()
    assert capfd.readouterr() == ("", "")


def scenario(folder: Path, model: str, pictures: np.ndarray, **changes):
    np.savez(folder / "pictures.npz", image=pictures)
    data = {"npz": str(folder / "pictures.npz")}
    content = {
        "model": str(folder / model),
        "data": {"calibration": data, "evaluation": data},
        "devices": [{"name": "near", "scaled_from": "far", "speedup": 0.1}, {"name": "far"}],
        "precisions": ["fp32", "int8"],
        "links": [{"from": "near", "to": "far", "bandwidth_mbit_per_s": 1}],
        "source": "near",
        "sink": "far",
        "profiling": {"rounds": 3, "noise_samples": 2},
    }
    found, faults = check_scenario(json.dumps(content | changes))
    assert not faults
    return found


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 1, (8, 16, 16, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def planned(saved, pictures) -> Outcome:
    """Return the plan of a Keras model that is cut behind its first layer."""
    pins = {"stem*": "near", "depthwise*": "far"}
    return plan_scenario(scenario(saved, "small.keras", pictures, placement={"pin": pins}))


def test_a_keras_model_is_planned_and_run_on_data_with_its_channels_last(planned, pictures, tmp_path):
    plan = planned.plan
    assert plan.measured is not None
    assert plan.measured.chain.basic_bit_equal
    assert plan.converted_from is not None
    assert plan.converted_from.data == "calibration samples"
    assert plan.converted_from.max_abs_difference <= 1e-5
    assert {a.unit: a.device for a in plan.assignments}["stem/Conv"] == "near"
    assert plan.cuts[0].tensor.startswith("stem_relu/")
    write_outcome(planned, tmp_path / "plan")
    answers = []
    for name, value in (("last", pictures), ("first", np.moveaxis(pictures, -1, 1))):
        np.savez(tmp_path / f"{name}.npz", image=value)
        run_folder(tmp_path / "plan", tmp_path / f"{name}.npz", tmp_path / "answer.npz", None)
        answers.append(arrays_of(tmp_path / "answer.npz")["scores"])
    np.testing.assert_array_equal(*answers)
    assert answers[0].shape == (8, 1, 5)


def test_a_stage_alone_takes_pictures_as_the_source_does(planned, pictures, tmp_path):
    write_outcome(planned, tmp_path / "plan")
    np.savez(tmp_path / "in.npz", image=pictures.astype(np.float64))
    whole, half = tmp_path / "whole.npz", tmp_path / "half.npz"
    run_folder(tmp_path / "plan", tmp_path / "in.npz", whole, None)
    run_folder(tmp_path / "plan", tmp_path / "in.npz", half, 0)
    run_folder(tmp_path / "plan", half, tmp_path / "rest.npz", 1)
    np.testing.assert_array_equal(arrays_of(whole)["scores"], arrays_of(tmp_path / "rest.npz")["scores"])


@needs_optimization
def test_a_quantization_aware_model_keeps_its_scales_and_runs_in_int8(optimized, pictures):
    pinned = {"quant_stem*": "near", "quantize_layer*": "near", "quant_scores*": "far"}
    outcome = plan_scenario(scenario(optimized, "aware.h5", pictures, placement={"pin": pinned}))
    plan = outcome.plan
    assert plan.measured is not None
    assert {a.precision for a in plan.assignments} == {"int8"}
    assert {a.noise_power for a in plan.assignments} == {0.0}
    assert plan.measured.noise_relative_rms == 0.0
    assert plan.cuts[0].wire is WireFormat.UINT8
    assert plan.measured.chain.basic_bit_equal
    # Four with weights, the addition and the pool; an input's quantizer and the softmax are none.
    assert plan.measured.chain.integer_kernels == 6


@needs_optimization
def test_weights_of_a_quantization_aware_model_stay_on_their_grid(optimized):
    made = converted(optimized, "aware.h5")
    assert check_on_random(made).relative_rms_difference <= 0.05
    graph = prepare_model(load_model(made.path, {})).graph
    constants = {init.name: numpy_helper.to_array(init) for init in graph.initializer}
    weights = [n for n in graph.node if n.op_type == "DequantizeLinear" and n.input[0] in constants]
    matrices = [n for n in weights if constants[n.input[0]].ndim > 1]
    assert len(matrices) == 4
    for node in matrices:
        integers, zero = constants[node.input[0]], constants[node.input[2]]
        assert integers.dtype == np.int8
        assert not zero.any()
        assert np.abs(integers.astype(int)).max() <= 127


@needs_optimization
def test_a_pruned_model_weighs_less_compressed(optimized, pictures):
    plain = plan_scenario(scenario(optimized, "pruned.h5", pictures)).plan
    packed = plan_scenario(scenario(optimized, "pruned.h5", pictures, weights="compressed")).plan
    assert all(a.compressed_bytes is None for a in plain.assignments)
    weights = sum(a.weight_bytes for a in packed.assignments)
    assert 0 < sum(a.compressed_bytes or 0 for a in packed.assignments) < 0.8 * weights


FAULTS = [
    ("keras:MobilNetV2", {}, "keras.applications has no MobilNetV2; did you mean keras:MobileNetV2"),
    ("keras:MobileNet", {"arguments": {"clases": 3}}, "conversion.arguments: .* 'clases'"),
    (
        "keras:MobileNet",
        {"weights": "small.weights.h5"},
        "conversion.weights: .*small.weights.h5 does not fit",
    ),
    (
        "my_models:small",
        {"weights": "seven.weights.h5"},
        r"does not fit my_models:small: layer 'scores' has weights of \(8, 5\), the file \(8, 7\)",
    ),
    ("my_models:small", {"weights": "none.h5"}, "conversion.weights: .*none.h5 does not exist"),
    (
        "my_models:small",
        {"weights": "cut.keras"},
        "conversion.weights: .*cut.keras does not fit my_models:small",
    ),
    ("custom.keras", {}, "uses Scale, which Keras does not know: .*conversion.custom_objects: module:Scale"),
    ("custom.keras", {"custom_objects": "my_models:not_objects"}, "must name a dict, a list of classes"),
    ("lambda.keras", {}, "Lambda layer, Python code that is not run from a file"),
    ("unsigned", {}, "has no signatures: save it with"),
    ("served", {}, "conversion.signature: choose one, .* has margin, score"),
    ("served", {"signature": "skore"}, "no 'skore', .* did you mean score"),
    (
        "any_size.keras",
        {},
        r"input 'image' has dynamic shape \[\?, \?, \?, 3\]; declare it as input_shapes: .*image=1,\?,\?,3",
    ),
    ("my_models:foreign", {}, "operator Betainc .*odd_part.* has no ONNX form"),
    ("my_models:unsigned", {}, "is a tf.function without input_signature"),
    ("my_models:number", {}, "gives int; it must give a Keras model"),
    ("my_models:broken", {}, "my_models:broken failed: RuntimeError: no such luck"),
    ("my_models:exits", {}, "my_models:exits failed: SystemExit: 3"),
    ("my_models:interrupts", {}, "my_models:interrupts failed: KeyboardInterrupt"),
    ("custom.tflite", {}, "custom.tflite uses the custom operator Betainc, which TensorFlow cannot run"),
    ("my_models:unsaid", {}, "does not say what its inputs are"),
    ("my_models:absent", {}, "my_models:absent cannot be used"),
    ("my_models:concrete", {"arguments": {"a": 1}}, "is a model already, it takes none"),
    ("cut.keras", {}, "cut.keras is damaged or no Keras file .no zip archive"),
    ("bomb.keras", {}, "bomb.keras is damaged or no Keras file .config.json says that it unpacks to 80 MiB"),
    ("list.keras", {}, "list.keras is damaged or no Keras file"),
    ("cut.h5", {}, "cut.h5 is damaged or no Keras file"),
    ("cut_saved", {}, "cut_saved is damaged or no SavedModel"),
    (
        "small.h5",
        {"custom_objects": "my_models:absent"},
        "conversion.custom_objects: my_models:absent cannot",
    ),
]


def cut_in_half(folder: Path) -> None:
    for name in ("small.keras", "small.h5", "small.tflite"):
        content = (folder / name).read_bytes()
        (folder / f"cut{Path(name).suffix}").write_bytes(content[: len(content) // 2])
    for name, metadata, size in (("bomb.keras", "{}", 80 * 2**20), ("list.keras", "[]", 2)):
        with zipfile.ZipFile(folder / name, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("metadata.json", metadata)
            archive.writestr("config.json", bytes(size))
    shutil.copytree(folder / "saved", folder / "cut_saved", dirs_exist_ok=True)
    (folder / "cut_saved" / "saved_model.pb").write_bytes(b"\x0a\xff\xff")


@pytest.mark.parametrize("place", range(len(FAULTS)), ids=[f"{f[0]} {f[1]}" for f in FAULTS])
def test_what_is_wrong_is_said_in_one_line(told, place):
    assert re.search(FAULTS[place][2], told[place]), told[place]
    assert len(told[place].splitlines()) == 1


@pytest.mark.parametrize(
    ("model", "how", "text"),
    [
        ("small.weights.h5", {}, "holds weights only; set model: keras:NAME or module:function"),
        ("none.keras", {}, "none.keras does not exist"),
        ("cut.tflite", {}, "cut.tflite"),  # TensorFlow crashes over it
    ],
)
def test_what_is_wrong_ends_the_conversion(saved, model, how, text):
    cut_in_half(saved)
    with pytest.raises(ModelError, match=text) as caught:
        converted(saved, model, **how)
    assert len(str(caught.value).splitlines()) == 1


def test_code_that_leaves_the_process_is_named(saved):
    with pytest.raises(
        ModelError, match="^model: my_models:leaves ended the process that ran it, with exit code 0"
    ):
        converted(saved, "my_models:leaves")


def test_a_conversion_that_differs_on_real_samples_is_refused_with_the_first_output(saved, tmp_path):
    made = converted(saved, "small.keras")
    other = shutil.copytree(made.folder, tmp_path / "other")
    for known in other.glob("*check-*.json"):
        known.unlink()
    model = onnx.load(made.path)
    for init in model.graph.initializer:
        if init.data_type == onnx.TensorProto.FLOAT:
            twice = np.asarray(numpy_helper.to_array(init) * 2, np.float32)
            init.CopyFrom(numpy_helper.from_array(twice, init.name))
    onnx.save(model, other / "model.onnx")
    sample = {"image": np.random.default_rng(0).uniform(0, 1, (1, 3, 16, 16)).astype(np.float32)}
    with pytest.raises(
        ModelError, match="differ on calibration samples, first at output 'scores': by "
    ) as caught:
        check_on_samples(Converted(made.request, other), [sample])
    assert "report" not in str(caught.value)


def test_a_tflite_file_with_16_bit_activations_keeps_them(together):
    made = together["wide.tflite"]
    check = check_on_random(made)
    assert check.max_abs_difference <= 1e-3
    assert not check.doubt
    units = build_graph(prepare_model(load_model(made.path, {}))).units
    assert [unit.quantized for unit in units if "Conv" in unit.op_types] == [True] * 3


def test_sparse_weights_of_a_tflite_file_are_decoded(saved, together):
    made = together["sparse.tflite"]
    check = check_on_random(made)
    assert check.relative_rms_difference <= 1e-5
    content = (saved / "sparse.tflite").read_bytes()
    assert len(content) < (saved / "small.tflite").stat().st_size
    zeros = [
        (numpy_helper.to_array(init) == 0).mean()
        for init in onnx.load(made.path).graph.initializer
        if len(init.dims) == 4
    ]
    assert len(zeros) == 3
    assert min(zeros) > 0.6


_CONSTANTS = """
import numpy as np
from tensorflow.lite.python import schema_py_generated as schema
from planner.conversion.tf_worker.plain_tflite import densified, unpacked

def level(format, size=0, segments=(), places=()):
    made = schema.DimensionMetadataT()
    made.format, made.denseSize = format, size
    made.arraySegments, made.arrayIndices = schema.Uint8VectorT(), schema.Uint8VectorT()
    made.arraySegments.values, made.arrayIndices.values = list(segments), list(places)
    return made

# [4, 4] in blocks of [2, 2], of which there are two: at (0, 1) and (1, 0).
blocks = schema.SparsityParametersT()
blocks.traversalOrder, blocks.blockMap = [0, 1, 2, 3], [0, 1]
blocks.dimMetadata = [level(0, 2), level(1, 0, [0, 1, 2], [1, 0]), level(0, 2), level(0, 2)]
print(densified(np.arange(1, 9), (4, 4), blocks).tolist())
print(unpacked(np.array([0x21, 0xF8], np.uint8), 3).tolist())
"""


def test_blocks_and_four_bits_are_decoded_as_tensorflow_lays_them_out(printed):
    dense, whole = printed[2:]
    assert json.loads(dense) == [[0, 0, 1, 2], [0, 0, 3, 4], [5, 6, 0, 0], [7, 8, 0, 0]]
    assert json.loads(whole) == [1, 2, -8]


def test_inspect_takes_every_kind(saved, together, capfd, monkeypatch):
    monkeypatch.chdir(saved)
    for model in ("small.keras", "saved", "small.tflite"):
        with pytest.raises(SystemExit) as ended:
            main(["inspect", model])
        out, err = capfd.readouterr()
        assert ended.value.code == 0, err
        assert "converted from" in out
        assert not without_progress(err)


def test_the_scenario_with_resnet50_has_its_model_and_data():
    found = load_scenario(ROOT / "scenarios" / "keras-resnet50.yaml")
    order = conversion_request(found.model, found.conversion, {})
    assert order is not None
    assert (order.kind, order.target) == (SourceKind.APPLICATION, "ResNet50")
    wanted = [Input("input_layer", "float32", (1, 3, 224, 224), channels_last=True)]
    for spec, count in ((found.data.calibration, 96), (found.data.evaluation, 32)):
        samples = load_data(spec, wanted, "data").samples
        assert len(samples) == count
        pixels = samples[0]["input_layer"]
        assert pixels.shape == (1, 3, 224, 224)
        assert pixels.std() > 20
