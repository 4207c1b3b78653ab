"""Finds and improves plans without a bound, so that a search never ends without a plan.

construct: a first plan within the limits
device_segments: plans of one segment of units after another, at given prices
filled_devices: plans that fill one device after the other
incremental_evaluation: the cost of a choice, kept up to date while options change
incumbent: the best plan so far, and what is left of the time to better it
local_search: a better plan by changes of units, segments and wires
nearby_options: where an integer program looks for a better plan
prices: of seconds, bytes, joules and noise, from the quantities that count
segment_boundaries: where segments end, and on which devices they run
simpler_plan: a plan with fewer changes of precision and device that costs hardly more
"""
