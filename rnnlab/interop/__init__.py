"""Weights of other libraries, in and out: plain NumPy mappings, without importing these libraries.

``torch``: the state dictionaries of ``nn.RNN``, ``nn.LSTM`` and ``nn.GRU``. ``keras``: the weight lists of its layers.
Imports core and cells.
"""
