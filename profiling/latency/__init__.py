"""Seconds per unit, switch and stage, measured in place.

kernel_tags: names nodes after the unit or switch that they work for
measure_latency: seconds per unit and switch on this machine
measured_mixes: which mixes of precisions are measured
plan_corrections: a plan's own run corrects the profile
stage_cuts: whole models cut into stages, to see what a stage costs
write_bundle: a folder with everything that a device needs to be measured by itself
"""
