"""The records of a plan: plan.json, manifest.json.

configuration: where every unit runs and in which precision, in names
host_status: what a running host tells of itself
manifest: manifest.json: files, ports and cuts
models_record: models.json: what several models share
records: plan.json
requests_record: what requests through running hosts took
"""
