"""Labels of samples that are files, as people have them.

class_names: class numbers of labels that are numbers or names
coco_annotations: COCO's annotations: pictures, the objects on each, and their categories
folder_files: the files of a folder, and what tables call them
label_table: tables of labels: a row for each file, with its class
labelled_files: which files of a folder are samples, and the label of each
text_file: text of files as spreadsheets and editors write them
"""
