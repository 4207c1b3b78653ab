"""What judges a model's outputs beyond noise and classes.

annotated_picture: a picture with the objects on it, and where it lies in the model's input
coco_ap: COCO's average precision
detector_outputs: the boxes that a detector's outputs hold
non_max_suppression: of boxes that overlap, the one with the highest score
output_form: the forms in which detectors give boxes
scenario_metric: the metric that a scenario names
"""
