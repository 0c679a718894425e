"""``python -m rnnlab``, and the console script ``rnnlab``."""

import sys

from rnnlab.cli.signals import end_on_signal


def start() -> int:
    """Run the command of ``sys.argv``. Returns the exit code."""
    end_on_signal()
    from rnnlab.cli.main import main

    return main()


if __name__ == "__main__":
    sys.exit(start())
