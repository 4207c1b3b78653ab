"""What people read: terminal tables, figures, HTML pages.

budget_rows: budgets as rows of a page
comparison_html: the page of a comparison
device_diagram: devices and links of a plan as boxes of a page
feasible_text: why a plan is called feasible, not optimal, in words
figure_style: colours and sizes of all figures
figures: charts of plans and comparisons
graph_drawing: a plan's graph as boxes, blocks and lines
graph_figure: such a drawing as a figure
graph_folding: units of a large graph folded into blocks
graph_svg: such a drawing as elements of a page
html_page: template, scripts and style that both pages share
html_values: numbers of a record as a page shows them
layered_layout: places of boxes in layers, and lines between them
model_explorer: node data for Google's Model Explorer
models_html: the report of several models
plan_axes: a plan's graph on axes that a caller gives
plan_html: the page of a plan
plan_trace: one request of a plan as a trace
single_device_text: a plan beside everything on one device, in words, and why a plan is on one
tables: tables for the terminal
trace_events: the file of a trace
"""
