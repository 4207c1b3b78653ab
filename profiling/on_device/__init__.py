"""What is copied to a device and measures there: standard library, NumPy and a runtime, Python 3.9.

bundle_script: the script that a user starts on the device; in a bundle its name is measure.py
clock: what a run's seconds are, whatever other work does meanwhile
conversion_costs: seconds of a tensor's conversions between precisions (switches) from those of kernels
cost_fits: seconds of units, stage boundaries and wires from those of kernels
create_session: ONNX Runtime's sessions and their options: threads, optimization, traces
device_main: the command on the device, and the files that every bundle has
int8_overflow: whether int8 kernels overflow on this processor
kernels: seconds of kernels by the unit or switch that they work for
latency_record: the measured record, written as JSON
litert: the same for bundles for LiteRT
measured_record: from the times of variants to the record of the device
measurement_order: what is to be measured
measuring_flow: what is timed in which order, and the record that comes of it
onnx_reader: reads nodes and edges of an ONNX file without onnx, which old systems often lack
onnx_runtime_bundle: a bundle for ONNX Runtime: where its models lie, and what opens them
processor: what the processor is
profiler_events: the kernel events in the profile that ONNX Runtime wrote
robust_statistics: interquartile mean, relative interquartile range, and how often to measure
runtime_session: what timing asks of a session, whichever runtime it is of
timing: calls and sessions timed in turn
stage_overheads: how much longer stages take than their units inside the whole model
variant_sessions: what opens the models of a measurement plan
variant_times: seconds of each variant as a whole, and of its kernels
"""
