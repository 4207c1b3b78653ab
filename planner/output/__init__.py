"""Folders that are written and read whole: plans, comparisons, stages; running an exported plan.

answers_csv: answers that name a class as a table
atomic_folder: a folder that is written whole or not at all
comparison_folder: the folder of a comparison: its record, rows, pages, and the models of a plan set
detected_boxes: the boxes that a detector finds on pictures, as JSON and as a table
file_hash: SHA-256 of a file
input_preparation: how samples became a model's input, for programs of others
model_files: models as files, whichever runtime they are for
models_folder: the folder of several models that were planned together
plan_folder: the folder of a plan, written: plan.json, manifest.json, models, page
rates_folder: the folder of a comparison over request rates
record_files: JSON records of a folder, read and checked for their format
run_exported: `plan run`: an exported plan on arrays or images
run_input: the input of `plan run`: archives, images
saved_plan: the folder of a plan, read back: files checked against hashes and each other
stage_files: stage models in a folder: written with their hashes, checked when read
"""
