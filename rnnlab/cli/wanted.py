"""Runs that the studies' claims still need, with what they would cost: ``wanted.toml`` beside the records."""

import argparse
import shlex
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rnnlab.cli import run, studies
from rnnlab.config.experiment import Config


class Wanted(NamedTuple):
    """A run that is wanted; ``hours`` are estimated, on two CPU cores."""

    name: str
    command: str
    config: Config
    hours: float


def wanted(folder: Path) -> list[Wanted]:
    """The runs of ``wanted.toml`` in ``folder``, the most wanted first; none without the file."""
    path = folder / "wanted.toml"
    if not path.exists():
        return []
    parser = argparse.ArgumentParser()
    run.add_arguments(parser)
    found = []
    for name, entry in tomllib.loads(path.read_text()).items():
        options = parser.parse_args(shlex.split(entry["command"])[1:])
        found.append(Wanted(name, entry["command"], run.configuration(options), entry["hours"]))
    return found


def needed(study: str, claim: Any, runs: Sequence[Wanted]) -> str:
    """Which of the ``runs`` would judge the ``claim`` of a study at the least cost, in words; "" if none would."""
    from rnnlab.claims.judge import would_judge

    module = studies.study(study)
    for wanted in sorted((each for each in runs if each.config.experiment == study), key=lambda each: each.hours):
        protocol = wanted.config.protocol
        planned = studies.planned(module, protocol) if protocol else module.CONFIG
        if would_judge(claim, wanted.config, planned):
            return f"needs {wanted.command} (about {wanted.hours:,g} hours on two CPU cores)"
    return ""
