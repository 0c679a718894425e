"""``python -m experiments``, from a checkout."""

import sys

from rnnlab.__main__ import start

if __name__ == "__main__":
    sys.exit(start())
