"""Makes a problem smaller before it is solved: merged units, stage windows, symmetric devices.

device_symmetry: devices that may be exchanged without changing a problem
merge_units: units that are never worth separating become one
stage_windows: the options that a unit can have in a plan better than a known one (period)
unit_scaling: units in which numbers are of order one, whatever units costs came in
"""
