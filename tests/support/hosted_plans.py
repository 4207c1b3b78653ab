"""A plan folder over a camera, a gateway that only forwards, and a server, without planning it.

x, w -> stage 0 (camera) -> a_q (int8) -> stage 1 (server, reads x too) -> b, z -> stage 2 (camera) -> y

Inputs choose what happens: where x is minus infinity, the server's z would be NaN; where it is beyond
a million, the server asks for more memory than a machine can have.
"""

from pathlib import Path

import msgspec
import numpy as np
import onnx
from made_records import PREDICTED, made_plan
from text_models import make

from planner.output.file_hash import sha256_of
from planner.output.saved_plan import PLAN
from planner.output.stage_files import ports_of
from planner.plan.manifest import MANIFEST, STAGES, Manifest, StageEntry
from planner.plan.plan_record import FORMAT, Assignment, Cut, Plan, WireFormat
from planner.verification.stage_chain import Chain
from profiling.arrays import Array, Feeds
from profiling.graph.any_model import inputs_of, outputs_of
from profiling.precision import Precision
from profiling.records.json_files import save_json
from profiling.runtime.open_session import Runtime

MODEL = "model.onnx"
DEVICES = ("camera", "gateway", "server")
OUTPUTS = ("y", "z")
SIZE = 4096
_X, _W, _B, _Y, _Z = (f"float[1,{SIZE}] {name}" for name in "xwbyz")
_A = f"int8[1,{SIZE}] a_q"
_STAGES = (
    ("camera", f"({_X}) => ({_A})", "a = Mul (x, factor) a_q = QuantizeLinear (a, scale, zero)"),
    (
        "server",
        f"({_X}, {_A}) => ({_B}, {_Z})",
        """a = DequantizeLinear (a_q, scale, zero) b = Relu (a)
        high = Max (x, million) over = Sub (high, million) finite = Min (over, million)
        most = ReduceMax <keepdims = 0> (finite) some = Ceil (most) least = Min (some, unit)
        whole = Cast <to = 7> (least) flat = Reshape (whole, one) count = Mul (flat, far)
        huge = ConstantOfShape (count) nothing = ReduceSum <keepdims = 0> (huge)
        none = Sub (x, x) sum = Add (a, none) z = Add (sum, nothing)""",
    ),
    (
        "camera",
        f"({_A}, {_B}, {_W}) => ({_Y})",
        "a = DequantizeLinear (a_q, scale, zero) sum = Add (a, b) y = Mul (sum, w)",
    ),
)
_VALUES = {
    "scale": np.float32(0.05),
    "zero": np.int8(0),
    "million": np.float32(1e6),
    "unit": np.float32(1),
    "one": np.array([1], np.int64),
    "far": np.array([2**50], np.int64),
}
_CUTS = (
    ("x", "camera", "server", WireFormat.FLOAT),
    ("a", "camera", "server", WireFormat.INT8),
    ("b", "server", "camera", WireFormat.FLOAT),
)


def hosted_plan(folder: Path, *, sink: str = "camera", factor: float = 2.0, server_s: float = 0.001) -> Path:
    """Write a plan folder.

    Parameters
    ----------
    factor
        Another one makes another version of the plan.
    server_s
        Planned seconds of the server; paced, it takes at least as long.
    """
    (folder / STAGES).mkdir(parents=True)
    stages = tuple(_stage(folder, number, factor) for number in range(len(_STAGES)))
    # Nobody runs the whole model here; a plan folder has one with the same inputs and outputs.
    whole = make(f"({_X}, {_W}) => ({_Y}, {_Z}) {{ y = Mul (x, w) z = Relu (x) }}", {})
    onnx.save(whole, folder / MODEL)
    plan = _plan(_scenario(sink), server_s)
    manifest = Manifest(
        format=FORMAT,
        source="camera",
        sink=sink,
        model_sha256=sha256_of(folder / MODEL),
        inputs=ports_of(inputs_of(whole)),
        outputs=ports_of(outputs_of(whole)),
        stages=stages,
        cuts=plan.cuts,
    )
    save_json(manifest, folder / MANIFEST)
    save_json(plan, folder / PLAN)
    return folder


def hosted_samples(count: int) -> list[Feeds]:
    """Return inputs of the model."""
    rng = np.random.default_rng(5)
    return [{name: rng.normal(size=(1, SIZE)).astype(np.float32) for name in "xw"} for _ in range(count)]


def hosted_answers(folder: Path, samples: list[Feeds]) -> list[dict[str, Array]]:
    """Return what a plan folder's stages give in one process."""
    chain = Chain(sorted((folder / STAGES).glob("*.onnx")), Runtime())
    return [chain.run(feeds, OUTPUTS) for feeds in samples]


def _stage(folder: Path, number: int, factor: float) -> StageEntry:
    device, ends, body = _STAGES[number]
    values = _VALUES | {"factor": np.float32(factor)}
    used = {name: value for name, value in values.items() if f" {name}" in body or f"({name}" in body}
    path = folder / STAGES / f"{number:02d}-{device}.onnx"
    model = make(f"{ends} {{ {body} }}", used)
    onnx.save(model, path)
    return StageEntry(
        number=number,
        device=device,
        file=str(path.relative_to(folder)),
        sha256=sha256_of(path),
        units=1,
        precisions={Precision.INT8.value: 1},
        inputs=ports_of(inputs_of(model)),
        outputs=ports_of(outputs_of(model)),
    )


def _plan(scenario: dict[str, object], server_s: float) -> Plan:
    assignments = tuple(
        Assignment(
            unit=f"unit{number}",
            nodes=(f"node{number}",),
            device=device,
            precision=Precision.INT8,
            compute_s=0.001,
            noise_power=0.0,
            weight_bytes=10,
        )
        for number, (device, _, _) in enumerate(_STAGES)
    )
    cuts = tuple(
        Cut(
            tensor=tensor,
            source=source,
            target=target,
            wire=wire,
            size_bytes=SIZE if wire is WireFormat.INT8 else 4 * SIZE,
            path=DEVICES if source == "camera" else DEVICES[::-1],
            seconds=0.001,
        )
        for tensor, source, target, wire in _CUTS
    )
    predicted = msgspec.structs.replace(PREDICTED, compute_s={"camera": 0.002, "server": server_s})
    return made_plan(scenario=scenario, assignments=assignments, cuts=cuts, predicted=predicted)


def _scenario(sink: str) -> dict[str, object]:
    ways = [("camera", "gateway"), ("gateway", "server")]
    return {
        "model": "some/where/m.onnx",
        "data": {"calibration": {"npz": "c.npz"}, "evaluation": {"npz": "e.npz"}},
        "devices": [
            {"name": "camera"},
            {"name": "gateway", "scaled_from": "camera", "speedup": 1},
            {"name": "server", "scaled_from": "camera", "speedup": 1},
        ],
        "links": [
            {"from": a, "to": b, "bandwidth_mbit_per_s": 8} for way in ways for a, b in (way, reversed(way))
        ],
        "source": "camera",
        "sink": sink,
        "precisions": ["fp32", "int8"],
    }
