"""Which runtime and quantization scheme a device of the scenario stands for.

quantization_schemes: which quantization scheme each device uses, and how it is tried out here
runtime: which device runs here, and with which settings of the runtime
"""
