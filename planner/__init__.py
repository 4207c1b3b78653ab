"""Decides which precision and which device each unit gets, and acts on it.

__main__: the command begins here
errors: PlannerError and its kinds
export_and_verify: a saved plan, built again or measured again
formatting: sizes and names as people read them
image_layout: channels first or last
json_record: base of records that are written as JSON
process_memory: the most memory that this process has held
profile_device: the flows of `plan profile`: a device measured here, or its bundle
run: the flow for one model, written out once
run_models: the flow for several models that share devices
user_objects: the user's own code, named FOLDER/module:name
"""
