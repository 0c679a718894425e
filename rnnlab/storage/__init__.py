"""Records on disk, written whole or not at all: metrics.parquet, checkpoints, documents, env.json.

In: arrays and documents. Out: files, and what they hold. Imports core.
"""
