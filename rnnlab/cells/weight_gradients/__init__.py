"""A scan over time with a faster gradient: each weight's gradient is one product after the reverse scan."""

from rnnlab.cells.weight_gradients.scan import Step, plain_scan, scan

__all__ = ["Step", "plain_scan", "scan"]
