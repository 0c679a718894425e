"""Training speed on this machine: workloads and systems -> times, as records, a table and a figure.

rnnlab, PyTorch, Flax and Keras train the same models. Every system runs in processes of its own (``worker``), so that
thread pools and peak memory are not shared; ``rounds.measure`` starts them and lets them take turns. Imports core,
cells, train and report; no names are imported here, since workers measure the memory of what they import.
"""
