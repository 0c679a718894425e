"""Reports: a run directory -> report.html, figures as PNG and CSV, tables for a terminal and other programs.

`run_figures` and `tables` describe what is shown, as data; `png`, `svg` and `html` render it; `sections` arranges it;
`write` and `compare` read run directories and write pages. Imports core, config, training (tasks), storage, stats, runs
(formats of durations) and claims.
"""
