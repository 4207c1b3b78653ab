"""What people read: terminal tables, figures, HTML pages.

comparison_html: the page of a comparison
device_diagram: devices and links of a plan as boxes of a page
figure_style: colours and sizes of all figures
figures: charts of plans and comparisons
graph_figure: the model's graph as a figure
html_page: template, scripts and style that both pages share
html_values: numbers of a record as a page shows them
models_html: the report of several models
plan_axes: a plan's graph on axes that a caller gives
plan_html: the page of a plan
single_device_text: a plan beside everything on one device, in words
tables: tables for the terminal
"""
