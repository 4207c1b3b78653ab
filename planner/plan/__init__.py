"""The records of a plan: plan.json, manifest.json.

configuration: where every unit runs and in which precision, in names
manifest: manifest.json: files, ports and cuts
models_record: models.json: what several models share
plan_record: plan.json
"""
