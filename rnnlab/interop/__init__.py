"""To and from other libraries, without importing them: weights as plain NumPy mappings, and files.

``torch``: the state dictionaries of ``nn.RNN``, ``nn.LSTM`` and ``nn.GRU``. ``keras``: the weight lists of its layers.
``cerebral``: the state dictionaries of the author's Cerebral LSTM.
``export``: one trained run as safetensors, or its predictions as a program of JAX.
Imports core, cells, data, training and runs.
"""
