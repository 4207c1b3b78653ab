"""What people read in a terminal: tables, and sentences beside them.

comparison_table: a comparison as terminal tables and CSV
inspection_table: `plan inspect` as terminal tables
links_table: links as hosts measured them, for the terminal and as YAML
models_table: what several models share, as a terminal table
plan_diff_table: what differs between two plans
plan_tables: a plan as terminal tables
profile_tables: a profile, and what differs between two, as terminal tables
rates_table: the best plans of several models over request rates, as tables
requests_table: requests through hosts, and the hosts, as terminal tables
shared_links: which rows of "on the links" hold one transfer
solution_table: the answer of `plan solve` -> terminal tables
table_style: what terminal tables share: an empty table, lines of text as it is
verification_table: what `plan verify` found, and the verdict on budgets
"""
