"""Cells made of cells: both directions, two paths, layers, recurrent dropout, mixed precision.

In: a ``Cell`` or several. Out: a ``Cell``. Imports core, config and the modules of ``cells`` except ``registry``.
"""
