"""The records of a plan: plan.json, manifest.json; of its hosts and of requests through them.

bandwidth_ranges: for which bandwidths each of several plans is meant, and what it costs there
configuration: where every unit runs and in which precision, in names
graph_record: graph.json: units and the tensors between them
host_status: what a host tells of itself
manifest: manifest.json: files, ports and cuts
measured_costs: measured.json: what running hosts showed of links and devices
models_record: models.json: what several models share
plan_diff: what differs between two plans
plan_record: plan.json
requests_record: what requests took, beside what the plan predicts
"""
