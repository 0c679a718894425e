"""``python -m experiments``."""

import sys

from experiments.cli.signals import end_on_signal

if __name__ == "__main__":
    end_on_signal()
    from experiments.cli.main import main

    sys.exit(main())
