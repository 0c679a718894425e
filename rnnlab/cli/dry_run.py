"""``run --dry-run``: what a run would take."""

import argparse
from pathlib import Path

from rnnlab.cli import distributed
from rnnlab.config.experiment import Config


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The option of ``run``."""
    parser.add_argument(
        "--dry-run", action="store_true",
        help="print what the run would take of memory and time, measured with a second of each arm, and write nothing",
    )  # fmt: skip


def show(config: Config, options: argparse.Namespace) -> int:
    """Print what the run would take; the exit code."""
    with distributed.connected(options):
        from rnnlab.core import processes
        from rnnlab.core.terminal import terminal_table
        from rnnlab.runs.dry_run import device_kind, plan_arm
        from rnnlab.runs.memory import check_memory, explained
        from rnnlab.runs.progress import duration
        from rnnlab.runs.validate import validate
        from rnnlab.training.memory import available_bytes, readable

        experiment = processes.everywhere(lambda: validate(config))._replace(is_part=options.part is not None)
        check_memory(experiment, Path.cwd())
        available = available_bytes()
        plans = []
        for name in config.arms:
            with explained(name):
                plans.append(plan_arm(experiment, name))
        rows = [
            {
                "arm": plan.arm, "runs": str(plan.runs), "devices": str(plan.devices), "for a run": str(plan.sharing),
                "side by side": str(plan.side_by_side), "waves": str(plan.waves), "parameters": f"{plan.parameters:,}",
                "data": readable(plan.data), "states": readable(plan.states),
                "temporaries": readable(plan.temporaries), "compiling": duration(plan.compile_seconds),
                "ms/step": f"{1000 * plan.step_seconds:.3g}", "whole run": duration(plan.total_seconds),
            }
            for plan in plans
        ]  # fmt: skip
        if processes.is_first():
            print(terminal_table(list(rows[0]), [list(row.values()) for row in rows]).rstrip())
            has = "unknown" if available is None else readable(available)
            print(f"bytes are those of a device, of which each has {has} free; devices: {device_kind()}; ms/step: of "
                  "one step of all runs; whole run: steps and evaluations; nothing was written")  # fmt: skip
    return 0
