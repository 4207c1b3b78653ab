"""Models of Keras and TensorFlow as `.tflite` files: names, answers, quantization; needs two extras."""

import importlib.util
import json
import re
import shutil
from pathlib import Path

import msgspec
import numpy as np
import pytest

pytest.importorskip("ai_edge_litert", reason="the extra litert is not installed")
pytest.importorskip("litert_quantizer", reason="the extra litert is not installed")
from ai_edge_litert.interpreter import Interpreter
from keras_conversions import SAMPLES, convert_together, failures, keras_samples
from tensorflow_extra import needs_tensorflow

from planner.cli.commands import main
from planner.conversion.cached_conversion import Converted, convert
from planner.conversion.equivalence_check import check_on_random, check_on_samples
from planner.conversion.model_source import tflite_request
from planner.conversion.random_samples import random_samples
from planner.conversion.request import (
    CONVERSION,
    REPRESENTATIVE,
    ConversionRequest,
    SourceInput,
    read_samples,
    write_samples,
)
from planner.report.tables.plan_tables import conversion_lines
from planner.scenario.model_paths import located_model
from planner.scenario.schema import ConversionSpec
from profiling.errors import ModelError
from profiling.litert.load import LitertModel, load_litert
from profiling.litert.unit_graph import build_litert_graph, tensor_quantization

pytestmark = needs_tensorflow
needs_optimization = pytest.mark.skipif(
    importlib.util.find_spec("tensorflow_model_optimization") is None,
    reason="needs the extra: splitquant[qat]",
)
MODELS = """
import keras, tensorflow as tf
from keras import layers
from keras_samples import network, stack, stir

@tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float32, name="row")])
def doubled(row):
    return {"twice": row * 2.0 + 1.0, "same": row, "again": row}

@tf.function(input_signature=[tf.TensorSpec([1, 4], tf.float32, name="row")])
def foreign(row):
    return tf.raw_ops.Betainc(a=row, b=row, x=row)

@tf.function(input_signature=[tf.TensorSpec([1, 4], tf.float32, name="row")])
def sines(row):
    return {"y": tf.sin(row * 2.0)}

@tf.function(input_signature=[tf.TensorSpec([1, 4], tf.float32, name="row")])
def partly_aware(row):
    return {"y": tf.sin(tf.quantization.fake_quant_with_min_max_args(row, -1, 1))}

def small():
    return network(keras, 16)

def borrowed():
    row = layers.Input((3, 4), name="row")
    return keras.Model(row, {"erf": keras.ops.erf(layers.Dense(4, name="dense")(row))})

def hopped():
    row = layers.Input((5, 8), name="row")
    return stir(keras.Model(row, layers.Dense(3)(layers.LSTM(6, name="memory")(row))))

class Counter(tf.Module):
    def __init__(self):
        self.total = tf.Variable(tf.ones([1, 4]))

    @tf.function(input_signature=[tf.TensorSpec([1, 4], name="x")])
    def __call__(self, x):
        self.total.assign(self.total + x)
        return {"y": tf.nn.softmax(self.total * 2.0)}
"""
WIDE = {"arguments": {"input_shape": [32, 32, 3], "alpha": 0.25}}
PICTURES = random_samples(
    [SourceInput(name="image", dtype="float32", shape=(1, 16, 16, 3), channels_last=False)], 8
)
# What is converted: name -> (model, input shapes, conversion).
MADE: dict[str, tuple[str, dict[str, tuple[int, ...]], dict[str, object]]] = {
    **{
        model: (model, {}, {})
        for model in (
            "small.keras", "small.h5", "saved", "two_ends.keras", "named.keras", "my_models:small",
            "my_models:stack", "my_models:doubled", "my_models:borrowed", "my_models:hopped",
            "my_models:Counter",
        )
    },
    "margin": ("served", {}, {"signature": "margin"}),
    "any_size.keras": ("any_size.keras", {"image": (1, 24, 20, 3)}, {}),
    "none": ("keras:MobileNet", {}, WIDE),
    "dynamic": ("keras:MobileNet", {}, WIDE | {"quantization": "dynamic"}),
    "float16": ("small.keras", {}, {"quantization": "float16"}),
    "full_integer": ("small.keras", {}, {"quantization": "full_integer"}),
    "int8": ("small.keras", {}, {"quantization": "integer_only"}),
    "uint8": ("small.keras", {}, {"quantization": "integer_only", "integer_type": "uint8"}),
    "two integer ends": ("two_ends.keras", {}, {"quantization": "full_integer"}),
}  # fmt: skip


def requested(folder: Path, model: str, shapes: dict[str, tuple[int, ...]], **how) -> ConversionRequest:
    request = tflite_request(located_model(model, folder), ConversionSpec(**how), shapes)
    assert request is not None
    return request


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = keras_samples("plain", tmp_path_factory)
    shutil.copy(SAMPLES, folder)
    (folder / "my_models.py").write_text(MODELS)
    return folder


def samples_of(request: ConversionRequest) -> list[dict[str, np.ndarray]]:
    if not request.target.endswith("two_ends.keras"):
        return PICTURES
    shapes = {"image": (1, 8, 8, 3), "meta": (1, 4)}
    rng = np.random.default_rng(3)
    # Inputs of different sizes, so that one is not taken for the other.
    return [
        {
            name: (rng.uniform(size=shape) * (100 if name == "meta" else 1)).astype(np.float32)
            for name, shape in shapes.items()
        }
        for _ in range(4)
    ]


@pytest.fixture(scope="module")
def worked_off(saved, tmp_path_factory) -> tuple[dict[str, Converted], list[str]]:
    """Return what is made of `MADE`, and what is said of each of `FAULTS`: one process does all in turn."""
    fine = [requested(saved, model, shapes, **how) for model, shapes, how in MADE.values()]
    faulty = [requested(saved, model, {}, **how) for model, how, _ in FAULTS]
    folders = [tmp_path_factory.mktemp("conversion") for _ in (*fine, *faulty)]
    for request, folder in zip(fine, folders, strict=False):
        if request.form.quantization.needs_samples:
            write_samples(folder / REPRESENTATIVE, samples_of(request))
    for request, folder in zip(faulty, folders[len(fine) :], strict=True):
        shape = (1, 3, 4) if request.target.endswith("borrowed") else (1, 4)
        write_samples(folder / REPRESENTATIVE, [{"row": np.ones(shape, np.float32)}])
    code = convert_together([*fine, *faulty], folders)
    said = failures(folders)
    assert (code, "".join(said[: len(fine)])) == (1, "")
    return dict(zip(MADE, map(Converted, fine, folders), strict=False)), said[len(fine) :]


@pytest.fixture(scope="module")
def made(worked_off) -> dict[str, Converted]:
    return worked_off[0]


def interpreted(converted: Converted) -> list[dict[str, np.ndarray]]:
    """Return what a file answers to its own samples when nothing of ours is between."""
    interpreter = Interpreter(model_path=str(converted.path), num_threads=1)
    assert list(interpreter.get_signature_list()) == ["serving_default"]
    runner = interpreter.get_signature_runner("serving_default")
    return [runner(**feeds) for feeds in read_samples(converted.folder / "samples.npz")]


def wanted(converted: Converted) -> list[dict[str, np.ndarray]]:
    return read_samples(converted.folder / "answers.npz")


def tensors(model: LitertModel, kind: str) -> list[int]:
    return [tensor for tensor in range(len(model.names)) if model.element_type(tensor).name == kind]


@pytest.mark.parametrize(
    "name",
    [
        "small.keras", "small.h5", "saved", "two_ends.keras", "my_models:small", "my_models:stack",
        "my_models:doubled", "my_models:hopped", "my_models:Counter", "margin", "any_size.keras", "none",
    ],
)  # fmt: skip
def test_every_kind_answers_as_its_source_does_by_the_names_of_its_ends(made, name):
    (answers,), (exact,) = interpreted(made[name]), wanted(made[name])
    assert answers.keys() == exact.keys()
    for key, value in exact.items():
        assert answers[key].shape == value.shape
        np.testing.assert_allclose(answers[key], value, rtol=1e-3, atol=1e-4, err_msg=key)
        # Noise as a picture leaves a whole network with answers in which rounding has grown.
        limit = 1e-3 if name == "none" else 1e-5
        assert np.abs(answers[key] - value).max() <= limit * np.abs(value).max()
        assert value.std() > 0
    check = check_on_random(made[name])
    apart = max(float(np.abs(answers[key] - value).max()) for key, value in exact.items())
    assert check.max_abs_difference == pytest.approx(apart, rel=1e-5)
    assert (check.converted_to, check.quantization, check.doubt) == ("tflite", "none", "")


@pytest.mark.parametrize("name", ["small.keras", "small.h5", "saved", "my_models:small"])
def test_operators_are_fused_and_named_by_layer(made, name):
    units = build_litert_graph(load_litert(made[name].path)).units
    last = {"saved": "output_0"}.get(name, "scores")
    assert [unit.name for unit in units] == [
        "stem/CONV_2D", "depthwise/DEPTHWISE_CONV_2D", "project/CONV_2D", "joined/ADD", "pool/MEAN",
        "scores/FULLY_CONNECTED", last,
    ]  # fmt: skip


def test_ends_keep_the_names_and_the_order_of_the_source(made):
    found = {
        name: (list(model.inputs), list(model.outputs))
        for name in ("two_ends.keras", "named.keras", "my_models:doubled", "margin", "my_models:stack")
        for model in [load_litert(made[name].path)]
    }
    assert found == {
        "two_ends.keras": (["image", "meta"], ["chances", "logits"]),
        "named.keras": (["größe: 1"], ["größe: 1_output"]),
        "my_models:doubled": (["row"], ["again", "same", "twice"]),
        "margin": (["features"], ["margin"]),
        "my_models:stack": (["image"], ["scores"]),
    }


def test_shapes_are_static_and_a_batch_is_one(made):
    shapes = {
        "two_ends.keras": [(1, 8, 8, 3), (1, 4)],
        "any_size.keras": [(1, 24, 20, 3)],
        "margin": [(1, 6)],
    }
    for name, wanted_shapes in shapes.items():
        model = load_litert(made[name].path)
        assert [model.shape(tensor) for tensor in model.inputs.values()] == wanted_shapes
        assert not any(
            -1 in (t.shapeSignature if t.shapeSignature is not None else ()) for t in model.graph.tensors
        )


def test_random_weights_answer_to_what_they_are_shown(made):
    interpreter = Interpreter(model_path=str(made["none"].path), num_threads=1)
    runner = interpreter.get_signature_runner()
    rng = np.random.default_rng(0)
    one, other = (
        next(iter(runner(input_layer=rng.uniform(-1, 1, (1, 32, 32, 3)).astype(np.float32)).values()))
        for _ in range(2)
    )
    assert np.abs(one - other).max() > 0.05 * one.max()
    assert "weights are random" in made["none"].conversion.notes[0]


def test_operators_of_tensorflow_are_named_and_their_answers_not_compared(made):
    converted = made["my_models:borrowed"]
    assert converted.conversion.flex_operators == ("FlexErf",)
    assert "FlexErf" in load_litert(converted.path).op_types
    check = check_on_random(converted)
    assert (check.samples, check.flex_operators) == (0, ("FlexErf",))
    assert check_on_samples(converted, []) == msgspec.structs.replace(check, data="calibration samples")
    first, second = conversion_lines(check)
    assert first.endswith("; its answers are not compared, as it does not run here")
    assert second.endswith("with the Flex delegate only: FlexErf")
    for name in MADE.keys() - {"my_models:borrowed"}:
        assert not made[name].conversion.flex_operators


def test_weights_of_dynamic_are_int8_and_ends_float(made):
    dynamic, plain = (load_litert(made[name].path) for name in ("dynamic", "none"))
    assert {dynamic.element_type(t).name for t in (*dynamic.inputs.values(), *dynamic.outputs.values())} == {
        "float32"
    }
    stored = {
        kind: [t for t in tensors(dynamic, kind) if dynamic.is_constant(t)] for kind in ("int8", "float32")
    }
    assert len(stored["int8"]) > 10
    assert not tensors(plain, "int8")
    assert made["dynamic"].path.stat().st_size < 0.4 * made["none"].path.stat().st_size


def test_weights_of_float16_are_the_source_s_rounded(made):
    half, plain = (load_litert(made[name].path) for name in ("float16", "small.keras"))
    rounded = {value.tobytes() for t in tensors(half, "float16") for value in [half.constant(t)]}
    exact = {
        plain.constant(t).astype(np.float16).tobytes()
        for t in tensors(plain, "float32")
        if plain.is_constant(t)
    }
    assert rounded
    assert rounded <= exact


@pytest.mark.parametrize(
    ("name", "kind"), [("full_integer", "float32"), ("int8", "int8"), ("uint8", "uint8")]
)
def test_integers_have_the_ranges_of_the_representative_samples(made, name, kind):
    model = load_litert(made[name].path)
    assert {model.element_type(t).name for t in (*model.inputs.values(), *model.outputs.values())} == {kind}
    assert bool(tensors(model, "float32")) == (kind == "float32")
    (tensor,) = model.inputs.values()
    if kind == "float32":  # what the first operator writes
        tensor = next(
            o.outputs[0] for o, t in zip(model.operators, model.op_types, strict=True) if t == "QUANTIZE"
        )
    values = np.stack([feeds["image"] for feeds in PICTURES])
    quantization = tensor_quantization(model, tensor)
    assert quantization is not None
    assert quantization.scales[0] == pytest.approx((values.max() - values.min()) / 255, rel=1e-6)


def test_ranges_of_several_inputs_are_not_taken_for_one_another(made):
    model = load_litert(made["two integer ends"].path)
    samples = samples_of(made["two integer ends"].request)
    for name in ("image", "meta"):
        values = np.stack([feeds[name] for feeds in samples])
        found = [
            tensor_quantization(model, operator.outputs[0])
            for operator in model.operators
            if operator.inputs[0] == model.inputs[name]
        ]
        assert found[0].scales[0] == pytest.approx(max(values.max(), 0) / 255, rel=1e-5)


def test_the_infinity_norm_is_that_of_dequantized_answers(made):
    (exact,) = wanted(made["int8"])
    norms = {
        name: check_on_random(made[name])
        for name in ("small.keras", "float16", "full_integer", "int8", "uint8")
    }
    found = [norms[name].max_abs_difference for name in norms]
    assert 0 < found[0] < found[1] < found[2] < 0.02 < exact["scores"].max()
    # The last operator is the same, and its answers have steps of 1/256.
    assert found[2] == found[3] == found[4]
    assert all(not check.doubt for check in norms.values())
    assert (
        check_on_random(made["dynamic"]).max_abs_difference > check_on_random(made["none"]).max_abs_difference
    )
    assert "TFLite with quantization float16" in conversion_lines(norms["float16"])[0]


def test_the_check_on_samples_refuses_floats_that_differ_and_reports_integers(made, tmp_path):
    samples = [{"image": np.abs(feeds["image"])} for feeds in PICTURES[:2]]
    check = check_on_samples(made["small.keras"], samples)
    assert (check.samples, check.data) == (2, "calibration samples")
    assert check.max_abs_difference < 1e-6
    assert 0 < check_on_samples(made["full_integer"], samples).max_abs_difference < 0.05
    wrong = shutil.copytree(
        made["small.keras"].folder, tmp_path / "wrong", ignore=shutil.ignore_patterns("check-*")
    )
    shutil.copy(made["float16"].path, wrong / "model.tflite")
    model = load_litert(wrong / "model.tflite")
    content = bytearray((wrong / "model.tflite").read_bytes())
    halves = max((model.constant(t) for t in tensors(model, "float16")), key=np.size).tobytes()
    start = content.find(halves)
    content[start : start + len(halves)] = (
        (np.frombuffer(halves, np.float16) * 2).astype(np.float16).tobytes()
    )
    (wrong / "model.tflite").write_bytes(content)
    with pytest.raises(ModelError, match="differ on calibration samples, first at output 'scores'"):
        check_on_samples(Converted(made["small.keras"].request, wrong), samples)


def test_what_is_known_is_not_converted_again_unless_samples_differ(saved):
    request = requested(saved, "small.keras", {}, quantization="full_integer")
    with pytest.raises(ModelError, match="need at least one sample"):
        convert(request)
    first = convert(request, representative=PICTURES[:2])
    before = (first.folder / CONVERSION).stat().st_mtime_ns
    again = convert(request, representative=PICTURES[:2])
    assert (again.path, (again.folder / CONVERSION).stat().st_mtime_ns) == (first.path, before)
    assert convert(request, representative=PICTURES[:3]).path != first.path


FAULTS = [
    ("my_models:foreign", {}, "operators Betainc have no form in TFLite, not even as its own"),
    (
        "my_models:borrowed", {"quantization": "integer_only"},
        "integer_only is not possible, as TFLite has no operator Erf of its own",
    ),
    (
        "my_models:borrowed", {"quantization": "full_integer"},
        "cannot calibrate a model with FlexErf, .*; take dynamic or float16",
    ),
    ("my_models:sines", {"quantization": "integer_only"}, "not possible, .* leaves SIN in floats"),
    ("my_models:partly_aware", {"quantization": "integer_only"}, "not possible, .* leaves SIN in floats"),
    ("any_size.keras", {}, r"input 'image' has dynamic shape \[\?, \?, \?, 3\]; declare it as input_shapes"),
]  # fmt: skip


def test_what_cannot_be_converted_is_said_in_one_line(worked_off):
    for said, (_, _, text) in zip(worked_off[1], FAULTS, strict=True):
        assert len(said.splitlines()) == 1
        assert re.search(text, said), said


@pytest.fixture(scope="module")
def optimized(tmp_path_factory) -> Path:
    return keras_samples("optimized", tmp_path_factory)


def weights_in(path: Path) -> dict[str, np.ndarray]:
    h5py = pytest.importorskip("h5py")
    numbers: dict[str, np.ndarray] = {}

    def read(name, found):
        if isinstance(found, h5py.Dataset):
            numbers[name] = np.array(found)

    with h5py.File(path) as file:
        file["model_weights"].visititems(read)
    return numbers


@pytest.fixture(scope="module")
def made_optimized(optimized, tmp_path_factory) -> dict[str, Converted]:
    orders = {
        "aware": ("aware.h5", {}),
        "aware, integer only": ("aware.h5", {"quantization": "integer_only"}),
        "pruned": ("pruned.h5", {}),
        "refused": ("aware.h5", {"quantization": "float16"}),
    }
    requests = [requested(optimized, model, {}, **how) for model, how in orders.values()]
    folders = [tmp_path_factory.mktemp("conversion") for _ in requests]
    write_samples(folders[1] / REPRESENTATIVE, [{"image": feeds["image"] * 100} for feeds in PICTURES])
    assert convert_together(requests, folders) == 1
    *fine, refused = failures(folders)
    assert "".join(fine) == ""
    assert "float16 would replace the scales of a quantization-aware model" in refused
    return dict(zip(orders, map(Converted, requests, folders), strict=True))


@needs_optimization
@pytest.mark.parametrize("name", ["aware", "aware, integer only"])
def test_a_quantization_aware_model_keeps_its_scales(optimized, made_optimized, name):
    numbers = weights_in(optimized / "aware.h5")
    model = load_litert(made_optimized[name].path)
    scales = [
        found.scales[0]
        for tensor in tensors(model, "int8")
        for found in [tensor_quantization(model, tensor)]
        if found is not None and not model.is_constant(tensor)
    ]
    learned = [
        path.removesuffix("max:0") for path in numbers if path.endswith("max:0") and "kernel" not in path
    ]
    assert len(learned) == 7
    for path in learned:
        scale = (numbers[f"{path}max:0"] - numbers[f"{path}min:0"]) / 255
        assert min(abs(scale - found) for found in scales) < 1e-6 * scale, path
    step = numbers["quant_scores/quant_scores/kernel_max:0"] / 127
    integers = np.round(numbers["quant_scores/scores/kernel:0"].T / step)
    (kernel,) = [t for t in tensors(model, "int8") if model.is_constant(t) and model.shape(t) == (5, 8)]
    np.testing.assert_array_equal(model.constant(kernel), np.clip(integers, -127, 127))
    assert made_optimized[name].conversion.quantized
    assert check_on_random(made_optimized[name]).relative_rms_difference < 0.05


@needs_optimization
def test_a_pruned_model_keeps_its_zeros(optimized, made_optimized):
    numbers = weights_in(optimized / "pruned.h5")
    zeros = sorted(int((value == 0).sum()) for path, value in numbers.items() if "kernel:0" in path)
    model = load_litert(made_optimized["pruned"].path)
    kernels = [
        model.constant(t)
        for t in tensors(model, "float32")
        if model.is_constant(t) and len(model.shape(t)) > 1
    ]
    assert sorted(int((kernel == 0).sum()) for kernel in kernels) == zeros
    assert zeros[-1] > 150
    assert check_on_random(made_optimized["pruned"]).max_abs_difference < 1e-6


def test_inspect_converts_and_shows_operators_as_units(saved, capfd, monkeypatch):
    monkeypatch.chdir(saved)
    for how in ([], ["--conversion", "quantization=integer_only"]):
        with pytest.raises(SystemExit) as ended:
            main(["inspect", "small.keras", "--runtime", "litert", "--json", *how])
        out, err = capfd.readouterr()
        assert ended.value.code == 0, err
        found = json.loads(out)
        assert [unit["op_types"] for unit in found["units"]][:2] == [["CONV_2D"], ["DEPTHWISE_CONV_2D"]]
        assert (found["runtime"], found["model"]) == ("litert", "small.keras")
        assert found["inputs"][0]["dtype"] == ("int8" if how else "float32")
        assert found["converted_from"]["quantization"] == ("integer_only" if how else "none")
        assert any("random numbers" in note for note in found["converted_from"]["notes"]) == bool(how)
