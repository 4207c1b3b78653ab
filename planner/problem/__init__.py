"""The placement problem in numbers, what an answer costs, and routes. No files, no clock, no models.

cost_evaluation: prices a choice without the solver
device_visits: devices that a request may come back to: each visit is a device to the solver
devices: Device, Link
energy: joules of a request: computing, waiting, messages
link_routes: seconds and joules of a message on a link, and its fastest route over links
lone_switches: seconds of a source or sink that runs no unit but switches formats for others
makespan: when the last answer of a request is there, with stages that overlap, and their order
memory: peak bytes of a device: weights, and the largest unit of each model
period: seconds between the requests of a pipeline, whose inverse is the throughput
placement_problem: PlacementProblem and Choice
quantities: cost metrics, limits and the objective
several_models: several models on the same devices and links as one problem
stage_ways: what lies between stages: links, and what no stage does on the way
tensors: Format, WireForm, Flow: what moving and converting a tensor costs
unit_dag: which units come before which others
uniform_choices: plans in one precision with at most one cut, and what they cost
units: Vertex and Option: what a unit costs on each device in each precision
"""
