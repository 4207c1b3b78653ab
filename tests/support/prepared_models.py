"""A model of a test as the profiler works on it."""

from pathlib import Path

import numpy as np
import onnx

from profiling.graph.unit_graph import ModelGraph, build_graph
from profiling.onnx_io.load_model import load_model
from profiling.preparation.rewrite_steps import prepare_model
from profiling.quantization.calibration import Calibration, calibrate
from profiling.quantization.qdq_model import INT8_REDUCED


class Prepared:
    """A graph, samples for it, and its calibration."""

    def __init__(self, model: onnx.ModelProto, folder: Path, name: str) -> None:
        path = folder / f"{name}.onnx"
        onnx.save(model, path)
        self.path = path
        self.source = load_model(path, {})
        self.graph: ModelGraph = build_graph(prepare_model(self.source))
        rng = np.random.default_rng(1)
        self.samples = [
            {i: rng.normal(size=self.graph.tensors[i].shape).astype(np.float32) for i in self.graph.inputs}
            for _ in range(8)
        ]
        self.calibration = Calibration(INT8_REDUCED, folder / f"{name}.ranges.json")
        calibrate(self.graph.model, self.graph.quantizable_nodes, self.samples, self.calibration.ranges)
