"""Decides which precision and which device each unit gets, and acts on it.

__main__: the command begins here
errors: PlannerError and its kinds
formatting: sizes and names as people read them
image_layout: channels first or last
json_record: base of records that are written as JSON
peak_memory: the most memory that this process has held
run: the flow, written out once
user_objects: the user's own code, named FOLDER/module:name
"""
