"""What a scenario is planned with: samples, and the prepared, calibrated model.

auto_precisions: `precisions: auto` -> the precisions that are planned with, and what was tried
calibrated_model: the model that is measured, its ranges and errors of biases, calibrated once
clip_samples: samples that are WAV clips in a folder, with their labels
dataset: samples and labels of a scenario, checked against the model's inputs
file_samples: samples that are files of a folder, each read when it is asked for
image_preprocessing: from the pixels of an image to a model's input
image_samples: samples that are images in a folder, with their labels
inspect_source: what a model is made of, whatever it comes from
litert_source: a .tflite model as the user gives it, and as it is measured
load_samples: the samples of one part of a scenario's `data`, wherever they come from
model_answers: what a model answers with: classes, or other numbers
npz_archive: NumPy archives, bounded before any data is read
npz_samples: samples out of a NumPy archive
prepared_scenario: model and data loaded, checked against each other, and calibrated
reader_samples: samples that the user's own code reads
refused_units: the units of a scenario's model that come out wrong once they are quantized
sample_doubts: what samples cannot show, and values that the model does not take
subset: which samples are taken: all, or those that the scenario names
wav_file: the samples of a WAV file
"""
