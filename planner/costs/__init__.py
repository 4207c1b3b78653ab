"""From profiles and noise to the numbers of a placement problem.

block_costs: costs of a runtime's units -> costs of blocks, where devices run several runtimes
device_costs: what a device pays for each unit and conversion, measured or scaled from another device
device_profiles: profiles of a scenario's devices: measured here, or read from a file and checked
formulation: scenario, graph and measured costs -> PlacementProblem
name_patterns: what a scenario says of units and tensors by name or pattern
noise_corrections: what sources of noise count for in company, other than alone
noise_profiles: noise of tensors, units and mixed models, measured once on a few samples
noise_saturation: from summed noise to noise at the outputs, which saturates
noise_trials: mixed models whose noise is measured, for a law and factors to be fitted on
own_cost_table: a device's own seconds, from a CSV table, as its profile
placement_names: whether a graph has all that a scenario's placement names
resource_budgets: budgets as limits, with the unit of each, but for those on errors
tensor_flows: how each tensor of a graph moves between devices and formats, and what that costs
tensor_formats: the formats in which the devices of a scenario quantize tensors
unit_options: where and in which precision each unit can run, and what each of these options costs
whole_model: predicts the whole mixed-precision model on one device, to be compared with a run of it
"""
