"""The command ``export``: one trained run as a file."""

from __future__ import annotations

import argparse
from pathlib import Path

from rnnlab.cli import trust
from rnnlab.cli.devices import check_devices
from rnnlab.cli.selection import ALL, chosen_arms, which, whole
from rnnlab.core.errors import InputError, choose

BEST = "best"
FORMATS = {"safetensors": ".safetensors", "stablehlo": ".jax"}
MOST_STEPS = 1_000_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``show`` to ``parser``."""
    parser.add_argument("directory", type=Path, metavar="DIR", help="the run's directory; the run need not be finished")
    parser.add_argument("--arm", metavar="NAME", help="an arm (default: the only one)")
    parser.add_argument(
        "--seed", metavar="N", help="one of the run's seeds (default: its first), or best: by validation loss"
    )
    parser.add_argument("--epoch", metavar="EPOCH", default="best", help="best (by validation), first, last, or kept")
    parser.add_argument(
        "--format", metavar="FORMAT", default="safetensors",
        help="safetensors (parameters, the default) or stablehlo (a program of JAX that predicts)",
    )  # fmt: skip
    parser.add_argument(
        "--steps", metavar="T", help="stablehlo: steps of a sequence (default: those of the run's data)"
    )
    parser.add_argument("--lengths", action="store_true", help="stablehlo: the program also takes lengths [N]")
    parser.add_argument("--out", type=Path, metavar="FILE", help="default: DIR/exports/ARM-seedN with an ending")
    text = "the value of a swept hyperparameter, if the run has several, as in learning_rate=1e-3"
    parser.add_argument("--set", metavar="NAME=VALUE", nargs="+", action="extend", default=[], help=text)
    trust.add_arguments(parser)


def show(options: argparse.Namespace) -> int:
    """Write the parameters or the predictions of one trained run into a file."""
    from rnnlab.interop import export
    from rnnlab.runs.saved_run import load_run
    from rnnlab.storage.files import write_whole

    ending = FORMATS[choose("--format", options.format, FORMATS)]
    if options.format == "safetensors" and (options.steps is not None or options.lengths):
        raise InputError("--steps, --lengths: are of a program; use them with --format stablehlo")
    if options.arm == ALL:
        raise InputError("--arm: all is not accepted; accepted: one arm for each file")
    run = load_run(options.directory, options.cell_file)
    ((arm,), _) = chosen_arms(run, options)
    trust.check_run(run, [arm], options)
    check_devices()
    best, options.seed = options.seed == BEST, None if options.seed == BEST else options.seed
    hyperparams, seed, epoch = which(run, arm, options, [arm])
    if best:
        seed, hyperparams = run.best_run(arm, **hyperparams)
    params = run.params(arm, seed, epoch, **hyperparams)
    if options.format == "safetensors":
        about = {"arm": arm, "cell": run.config.arms[arm].cell, "seed": str(seed), "epoch": str(epoch)}
        content = export.safetensors(params, about | {name: f"{value:.9g}" for name, value in hyperparams.items()})
    else:
        if run.spec(arm).attention is not None:
            raise InputError(f"--arm: {arm} is an encoder and a decoder; accepted: --format safetensors, or `sample`")
        if options.steps is not None:
            steps = whole("--steps", options.steps, 1, MOST_STEPS)
        else:
            steps = run.examples("validation", 1).inputs.shape[1]
        content = export.stablehlo(run, run.model(arm, **hyperparams), params, steps, lengths=options.lengths)
    path = options.out or options.directory / "exports" / f"{arm}-seed{seed}{ending}"
    if path.is_dir():
        raise InputError(f"--out: {path} is a directory; accepted: a file")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, content)
    print(f"{path}: {arm}, seed {seed}, epoch {epoch}, {len(content):,} bytes")
    return 0
