"""Seconds per unit, switch and stage, measured in place.

kernel_tags: names nodes after the unit or switch that they work for
measure_latency: seconds per unit and switch on this machine
measured_mixes: which mixes of precisions are measured
plan_corrections: a plan's own run corrects the profile
plan_costs: what a plan's timed kernels say of its units, switches and wires
plan_timing: a plan's models, timed in turn
stage_costs: what a plan's timed stages say of a run's start, of units and of cuts
stage_cuts: whole models cut into stages, to see what a stage costs
write_bundle: a folder with everything that a device needs to be measured by itself
"""
