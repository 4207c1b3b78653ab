"""Which runtime and quantization scheme a device of the scenario stands for."""
