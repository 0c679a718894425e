"""The command ``bench``: how fast training steps are, ours and other people's; cells; sizes."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.cli.selection import whole
from rnnlab.core.errors import InputError, choose

if TYPE_CHECKING:  # takes its time
    from rnnlab.bench.cases import Plan
    from rnnlab.bench.processes import Product

ALL = "all"
NONE = "none"
RUNS = "1,2,8,32"
MOST_RUNS = 4096
MOST_ROUNDS = 1000
BUSY = 0.5  # load of other processes from which times are doubtful

OPTIONS = (
    ("--work", "A,B,...", "mnist, imdb, chars (default all three; mnist with --cells and --scale)"),
    ("--runs", "R,S,...", f"numbers of runs trained at once (default {RUNS}; 8 with --cells, 1 to 64 with --scale)"),
    ("--peers", "A,B,...", "systems beside ours: torch, torch-processes, flax-loop, flax-vmapped, keras; none; "
                           "all (default) that are installed"),
    ("--rounds", "N", "turns that each system has (default 5)"),
    ("--cells", "A,B,...", "instead of the peers: time these cells, or all, in turns with the LSTM"),
)  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give ``parser`` what ``show`` takes."""
    for name, shown, told in OPTIONS:
        parser.add_argument(name, metavar=shown, help=told)
    parser.add_argument("--scale", action="store_true",
                        help="instead of the peers: time and memory by runs, steps T, units H and devices")  # fmt: skip
    parser.add_argument(
        "--bfloat16",
        action="store_true",
        help="time ours with products in bfloat16 too (--set compute_dtype=bfloat16 of a run)",
    )
    parser.add_argument("--json", action="store_true", help="print the results as one JSON object, and nothing else")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where bench.json, bench.csv and bench.png go "
                        "(default runs/bench/date-time)")  # fmt: skip


def show(options: argparse.Namespace) -> int:
    """Time a training step, per run, after compilation: rnnlab and its peers in turns, each in its own processes."""
    rounds = whole("--rounds", "5" if options.rounds is None else options.rounds, 1, MOST_ROUNDS)
    directory = options.out or Path("runs") / "bench" / time.strftime("%Y-%m-%d_%H%M%S")
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise InputError(f"--out: {directory} is not empty; accepted: a new or an empty directory")
    plans = list(_plans(options))
    from rnnlab.bench.processes import FailedError, Product

    environment = _environment()
    if environment["load_before"] > BUSY:
        _say(f"other processes are at work (load {environment['load_before']:.1f}): times will be doubtful")
    try:
        product = Product()
    except FailedError as error:
        raise InputError(f"bench: the matrix product fails: {error}; accepted: a device that JAX can use") from error
    try:
        document = _measure(plans, rounds, product, environment, directory)
    finally:
        product.close()
    _write_and_print(document, directory, as_json=options.json)
    return 0


def _plans(options: argparse.Namespace) -> Iterable[Plan]:
    """What to measure. Raises InputError for a wrong option."""
    from rnnlab.bench import cases, processes
    from rnnlab.bench.workloads import WORKS, choose_works

    special = options.cells is not None or options.scale
    if special and options.peers not in (None, NONE):
        raise InputError(f"--peers: {options.peers}, but --cells and --scale time ours alone; accepted: one of the two")
    if special and options.bfloat16:
        raise InputError("--bfloat16: set, but --cells and --scale time float32 alone; accepted: one of the two")
    works = choose_works(options.work if options.work is not None else "mnist" if special else ",".join(WORKS))
    asked = None if options.runs is None else _runs(options.runs)
    cells = None if options.cells is None else _cells(options.cells)
    compute_dtype = ["bfloat16"] if options.bfloat16 else []
    if not special:
        yield from cases.compare_systems(works, asked or _runs(RUNS), _peers(options.peers or ALL), compute_dtype)
    if cells is not None:
        yield from cases.compare_cells(works, asked or [cases.BASE_RUNS], cells)
    if options.scale:
        yield from cases.scale(works, asked or cases.SCALE_RUNS, _devices(processes.cores()))


def _listed(option: str, text: str, accepted: str) -> list[str]:
    if found := [part for part in dict.fromkeys(text.split(",")) if part]:
        return found
    raise InputError(f"{option}: is empty; accepted: {accepted}")


def _runs(text: str) -> list[int]:
    return [whole("--runs", part, 1, MOST_RUNS) for part in _listed("--runs", text, "whole numbers with commas")]


def _peers(text: str) -> list[str]:
    """The peers that are asked for and installed; the others are named on standard error."""
    from rnnlab.bench.peers import PEERS, is_installed

    names = _listed("--peers", text, ", ".join([*PEERS, ALL, NONE]))
    if names == [NONE]:
        return []
    chosen = list(PEERS) if names == [ALL] else [choose("--peers", name, [*PEERS, ALL, NONE]) for name in names]
    for name in set(chosen) & {ALL, NONE}:
        raise InputError(f"--peers: {name} stands alone; accepted: names of peers, or {name}")
    for name in chosen:
        if not is_installed(name):
            package = PEERS[name].package
            _say(f"{name}: left out, {package} is not installed; to have it: pip install {package}")
    return [name for name in chosen if is_installed(name)]


def _cells(text: str) -> list[str]:
    from rnnlab.cells.registry import CELLS, COMBINATORS, cell_factory
    from rnnlab.config.cell_name import absolute_name

    names = _listed("--cells", text, ", ".join([*CELLS, ALL]))
    if names == [ALL]:
        return [*CELLS, *(f"{name}(lstm)" for name in COMBINATORS)]
    for name in names:
        try:
            cell_factory(name)
        except InputError as error:
            raise InputError(f"--cells: {error}") from error
    return [absolute_name(name) for name in names]


def _devices(cores: int) -> int:
    """Devices that the lab would use. On a machine with an accelerator only its own process can count them."""
    from rnnlab.bench.processes import FailedError, Product

    try:
        product = Product(n=128)
    except FailedError:
        return cores
    product.close()
    return int(product.about["device"].split(" ")[0])


def _environment() -> dict[str, Any]:
    from rnnlab.bench.processes import cores
    from rnnlab.storage import environment as run_environment

    found = run_environment.describe([], {})
    del found["devices"], found["dataset"]
    for package in ("torch", "keras"):
        try:
            found["packages"][package] = version(package)
        except PackageNotFoundError:
            found["packages"][package] = None
    return found | {"cores": cores(), "processor": _processor(), "load_before": os.getloadavg()[0]}


def _processor() -> str | None:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return None
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), None)


def _measure(
    plans: list[Plan], rounds: int, product: Product, environment: dict[str, Any], directory: Path
) -> dict[str, Any]:
    """All results; what is done so far stands in bench.json after every plan."""
    from rnnlab.bench.rounds import measure
    from rnnlab.runs.progress import duration
    from rnnlab.storage.files import write_json

    results: dict[str, Any] = {}
    about = product.about
    document: dict[str, Any] = {
        "results": results,
        "environment": environment,
        "matrix_product": {"n": about["n"], "device": about["device"], "gflops": []},
        "rounds": rounds,
    }
    flops_of_lstm, began = None, time.monotonic()
    for number, plan in enumerate(plans, 1):
        _say(f"{number}/{len(plans)} {plan.title} ({duration(time.monotonic() - began)} so far)")
        found = measure(plan.cases, rounds, product, _say)
        document["matrix_product"]["gflops"] += found.rates
        for place, record in zip(plan.places, found.records, strict=True):
            if place is None:
                continue
            if "/" in place.system:
                flops_of_lstm = record["forward_flops"] if place.system.endswith("/lstm") else flops_of_lstm
                _add_flops(record, flops_of_lstm)
            results.setdefault(place.system, {}).setdefault(place.work, {})[str(place.runs)] = record
        write_json(directory / "bench.json", document)
    return document


def _add_flops(record: dict[str, Any], flops_of_lstm: int | None) -> None:
    """How much a cell takes for its matrix products, beside what the LSTM takes for its own."""
    flops, ratio = record["forward_flops"], record["ratio"]
    record["forward_mflops"] = flops and flops / 1e6
    record["time_per_flop"] = ratio * flops_of_lstm / flops if ratio and flops and flops_of_lstm else None


def _write_and_print(document: dict[str, Any], directory: Path, *, as_json: bool) -> None:
    import numpy as np

    from rnnlab.bench import report as shown
    from rnnlab.report.tables import csv_text
    from rnnlab.storage.files import write_whole

    results, product = document["results"], document["matrix_product"]
    rate = f"{np.median(product['gflops']):.0f} GFLOP/s" if product["gflops"] else "not measured"
    title = f"a training step, after compilation; a matrix product: {rate} on {product['device']}"
    write_whole(directory / "bench.csv", csv_text(shown.csv_rows(results)).encode())
    write_whole(directory / "bench.png", shown.draw(results, title))
    if as_json:
        json.dump(results, sys.stdout)
        print()
    else:
        print(shown.table(results), end="")
        print("ms: a training step of one run, median of the rounds, quartiles. ratio: time / time of rnnlab (lstm)")
        print(f"{document['rounds']} rounds; a product of {product['n']} x {product['n']} matrices: {rate} "
              f"on {product['device']}")  # fmt: skip
    files = "   ".join(str(directory / f"bench.{ending}") for ending in ("json", "csv", "png"))
    print(f"written: {files}", file=sys.stderr if as_json else sys.stdout)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
