"""Text and overrides -> ``Config``: an experiment as a frozen dataclass of plain values.

`experiment` declares the fields and reads config.json, `overrides` applies ``--set``, `cell_name` reads names like
``cerebral(gru)``. Imports core only.
"""
