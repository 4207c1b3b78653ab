"""Scenarios as people write them; their files are not there unless a test writes them."""

TWO_DEVICES = """\
model: m.onnx
data:
  calibration: {npz: c.npz, labels: y}
  evaluation: {npz: e.npz, labels: y}
devices:
  - {name: camera}
  - {name: server, scaled_from: camera, speedup: 4}
links:
  - {from: camera, to: server, bandwidth_mbit_per_s: 8, latency_ms: 5}
  - {from: server, to: camera, bandwidth_mbit_per_s: 8}
source: camera
sink: camera
precisions: [fp32, int8]
"""

LIMITED = """\
model: m.onnx
inputs: {INPUTS}
data:
  calibration: {npz: c.npz}
  evaluation: {npz: e.npz}
devices:
  - {name: camera}
  - {name: server, scaled_from: camera, speedup: 4, precisions: [fp32]}
links:
  - {from: camera, to: server, bandwidth_mbit_per_s: 8, price_per_gib: 1, latency_ms: 5}
source: camera
sink: server
budget: {memory_mib: {camera: 1}, latency_ms: 100}
precisions: [fp32, int8]
"""

QUICK = TWO_DEVICES + "profiling: {rounds: 3, noise_samples: 2}\n"
