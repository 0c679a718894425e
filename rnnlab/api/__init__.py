"""The lab from Python: ``train`` and ``load_run`` give a ``Result``; the command line uses the same function.

In: cells and a data set, or a ``Config``. Out: a ``Result`` with tables, comparisons, figures, parameters, predictions.
Imports every package above; ``rnnlab`` itself exports its names, each imported when it is first used.
"""
