"""Which runtime and quantization scheme a device of the scenario stands for.

calibration_choices: what calibration samples chose for a device's integers
cost_origins: where costs come from that were not measured on this machine
dominated_precisions: which precisions nothing speaks for
profile_files: what a profile file may be, and the key that names it
quantization_schemes: which quantization scheme each device uses, and how it is tried out here
runtime: which device runs here, and with which settings of the runtime
tried_precisions: what was found of each precision that `precisions: auto` tried
"""
