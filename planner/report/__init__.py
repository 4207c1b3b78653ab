"""What people read: terminal tables, figures, HTML pages.

comparison_html: the page of a comparison
comparison_table: a comparison as terminal tables and CSV
device_diagram: devices and links of a plan as boxes of a page
figure_style: colours and sizes of all figures
figures: charts of plans and comparisons
graph_figure: the model's graph as a figure
html_page: template, scripts and style that both pages share
html_values: numbers of a record as a page shows them
inspection_table: `plan inspect` as terminal tables
links_table: links as hosts measured them, for the terminal and as YAML
models_html: the report of several models
models_table: what several models share, as a terminal table
plan_axes: a plan's graph on axes that a caller gives
plan_html: the page of a plan
plan_tables: a plan as terminal tables
profile_tables: a profile, and what differs between two, as terminal tables
rates_table: the best plans of several models over request rates, as tables
requests_table: requests through hosts, and the hosts, as terminal tables
solution_table: the answer of `plan solve` -> terminal tables
table_style: what terminal tables share: an empty table, lines of text as it is
"""
