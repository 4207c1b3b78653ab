"""Models written as ONNX text, loaded, and compared after preparing."""

from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper, parser

from profiling.onnx_io.load_model import load_model
from profiling.runtime.open_session import Runtime, open_session, run_session

_SEED = 1
RNG = np.random.default_rng(_SEED)


def restart() -> None:
    """Let the next weights be those that a new process draws."""
    RNG.bit_generator.state = np.random.default_rng(_SEED).bit_generator.state


def weight(*shape: int) -> np.ndarray:
    return np.float32(RNG.normal(size=shape) / np.sqrt(np.prod(shape[1:]) or 1))


def make(text: str, weights: dict[str, np.ndarray], opset: int = 17, ir: int = 8) -> onnx.ModelProto:
    model = parser.parse_model(f'<ir_version: {ir}, opset_import: ["" : {opset}]> g {text}')
    model.graph.initializer.extend(
        numpy_helper.from_array(np.array(value, order="C"), name) for name, value in weights.items()
    )
    onnx.checker.check_model(model)
    return model


def loaded(model: onnx.ModelProto, folder: Path, shapes: dict[str, tuple[int, ...]] | None = None):
    onnx.save(model, folder / "m.onnx")
    return load_model(folder / "m.onnx", shapes or {})


def samples_of(model: onnx.ModelProto, count: int = 3) -> list[dict[str, np.ndarray]]:
    rng = np.random.default_rng(2)
    found = []
    for _ in range(count):
        feeds = {}
        for value in model.graph.input:
            tensor = value.type.tensor_type
            dtype = helper.tensor_dtype_to_np_dtype(tensor.elem_type)
            shape = [d.dim_value for d in tensor.shape.dim]
            feeds[value.name] = np.asarray(rng.normal(size=shape)).astype(dtype)
        found.append(feeds)
    return found


def assert_same(source: onnx.ModelProto, prepared: onnx.ModelProto, samples) -> None:
    for feeds in samples:
        want, got = (run_session(open_session(m, Runtime()), feeds) for m in (source, prepared))
        for name in want:
            np.testing.assert_allclose(got[name], want[name], rtol=1e-4, atol=1e-5)
