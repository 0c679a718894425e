"""The command ``bench``: training speed of rnnlab next to other libraries, of the cells, and by size."""

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

from rnnlab.cli.devices import check_flags
from rnnlab.cli.selection import whole
from rnnlab.core.errors import InputError, choose
from rnnlab.core.terminal import escaped, listing

if TYPE_CHECKING:  # importing JAX is slow
    from rnnlab.bench.cases import Plan
    from rnnlab.bench.processes import MatrixProduct

ALL = "all"
NONE = "none"
RUNS = "1,2,8,32"
MAX_RUNS = 4096
MAX_ROUNDS = 1000
BUSY = 0.5  # load of other processes above which times are unreliable

OPTIONS = (
    ("--work", "A,B,...", "workloads: mnist, imdb, chars (default: all three; mnist with --cells and --scale)"),
    ("--runs", "R,S,...", f"numbers of parallel runs (default: {RUNS}; 8 with --cells, 1 to 64 with --scale)"),
    ("--peers", "A,B,...", "other systems: torch, torch-processes, flax-loop, flax-vmapped, keras; none; "
                           "all (default): those that are installed"),
    ("--rounds", "N", "turns of each system (default: 5)"),
    ("--cells", "A,B,...", "instead of peers, time these cells, or all, in turns with the LSTM"),
    ("--sizes", "T=N,B=M,...", "other steps T, batches B or units H of the workloads"),
)  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``bench``."""
    for name, metavar, text in OPTIONS:
        parser.add_argument(name, metavar=metavar, help=text)
    parser.add_argument("--scale", action="store_true",
                        help="instead of peers, time and memory by runs, T, H, devices and processes")  # fmt: skip
    parser.add_argument(
        "--inference", action="store_true", help="with --cells: forward passes instead of training steps"
    )
    parser.add_argument(
        "--bfloat16",
        action="store_true",
        help="also time rnnlab with --set compute_dtype=bfloat16",
    )
    parser.add_argument("--json", action="store_true", help="print only the results, as one JSON object")
    parser.add_argument("--out", type=Path, metavar="DIR", help="directory of bench.json, bench.csv and bench.png "
                        "(default: runs/bench/date-time)")  # fmt: skip


def show(options: argparse.Namespace) -> int:
    """Time a training step per run, after compilation: rnnlab and its peers take turns, each in its own processes."""
    rounds = whole("--rounds", "5" if options.rounds is None else options.rounds, 1, MAX_ROUNDS)
    directory = options.out or Path("runs") / "bench" / time.strftime("%Y-%m-%d_%H%M%S")
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise InputError(f"--out: {directory} is not an empty directory")
    check_flags()
    plans = list(_plans(options))
    from rnnlab.bench.processes import FailedError, MatrixProduct

    environment = _environment()
    if environment["load_before"] > BUSY:
        _say(f"other processes are running (load {environment['load_before']:.1f}): times are unreliable")
    try:
        product = MatrixProduct()
    except FailedError as error:
        platforms = f" of JAX_PLATFORMS={os.environ['JAX_PLATFORMS']}" if "JAX_PLATFORMS" in os.environ else ""
        needed = f"JAX needs a working device{platforms}"
        raise InputError(f"bench: the matrix product fails: {error}; {needed}") from error
    try:
        document = _measure(plans, rounds, product, environment, directory)
    finally:
        product.close()
    _write_and_print(document, directory, as_json=options.json)
    return 0


def _plans(options: argparse.Namespace) -> Iterable[Plan]:
    """The plans to measure. Raises InputError for invalid options."""
    from rnnlab.bench import cases
    from rnnlab.bench.workloads import WORKLOADS, choose_workloads, resized

    special = options.cells is not None or options.scale
    if special and options.peers not in (None, NONE):
        raise InputError(f"--peers: {options.peers}, but --cells and --scale time rnnlab alone")
    if special and options.bfloat16:
        raise InputError("--bfloat16: cannot be combined with --cells and --scale, which time float32")
    workloads = choose_workloads(
        options.work if options.work is not None else "mnist" if special else ",".join(WORKLOADS)
    )
    if options.inference and (options.cells is None or options.scale):
        raise InputError("--inference: times cells; use it with --cells")
    if options.sizes is not None:
        workloads = [resized(workload, options.sizes) for workload in workloads]
    if options.inference:
        workloads = [each._replace(name=f"{each.name} inference", inference=True) for each in workloads]
    runs = None if options.runs is None else _runs(options.runs)
    cells = None if options.cells is None else _cells(options.cells)
    compute_dtypes = ["bfloat16"] if options.bfloat16 else []
    if not special:
        yield from cases.compare_systems(workloads, runs or _runs(RUNS), _peers(options.peers or ALL), compute_dtypes)
    if cells is not None:
        yield from cases.compare_cells(workloads, runs or [cases.BASE_RUNS], cells)
    if options.scale:
        yield from cases.scale(workloads, runs or cases.SCALE_RUNS, *_devices_and_cores())


def _split(option: str, text: str, accepted: str) -> list[str]:
    if parts := [part for part in dict.fromkeys(text.split(",")) if part]:
        return parts
    raise InputError(f"{option}: is empty; accepted: {accepted}")


def _runs(text: str) -> list[int]:
    return [whole("--runs", part, 1, MAX_RUNS) for part in _split("--runs", text, "comma-separated whole numbers")]


def _peers(text: str) -> list[str]:
    """The chosen peers that are installed; reports the others on standard error."""
    from rnnlab.bench.peers import PEERS, is_installed

    names = _split("--peers", text, ", ".join([*PEERS, ALL, NONE]))
    if names == [NONE]:
        return []
    chosen = list(PEERS) if names == [ALL] else [choose("--peers", name, [*PEERS, ALL, NONE]) for name in names]
    for name in set(chosen) & {ALL, NONE}:
        raise InputError(f"--peers: {name} cannot be combined with names of peers")
    for name in chosen:
        if not is_installed(name):
            package = PEERS[name].package
            _say(f"{name}: left out, {package} is not installed (pip install {package})")
    return [name for name in chosen if is_installed(name)]


def _cells(text: str) -> list[str]:
    from rnnlab.cells.registry import CELLS, COMBINATORS, cell_factory
    from rnnlab.config.cell_name import absolute_name

    names = _split("--cells", text, ", ".join([*CELLS, ALL]))
    if names == [ALL]:
        return [*CELLS, *(f"{name}(lstm)" for name in COMBINATORS)]
    for name in names:
        try:
            cell_factory(name)
        except InputError as error:
            raise InputError(f"--cells: {error}") from error
    return [absolute_name(name) for name in names]


def _devices_and_cores() -> tuple[int, int]:
    """The number of devices that rnnlab uses, and of processes to divide them into: one where they are accelerators.

    Counted in another process, since JAX would reserve an accelerator.
    """
    from rnnlab.bench.processes import FailedError, MatrixProduct, cores

    try:
        product = MatrixProduct(n=128)
    except FailedError:
        return cores(), 1
    product.close()
    count, _, kind = product.about["device"].partition(" x ")
    return int(count), int(count) if kind == "cpu" else 1


def _environment() -> dict[str, Any]:
    from rnnlab.bench.processes import cores
    from rnnlab.storage import environment as run_environment

    described = run_environment.describe([], {})
    del described["devices"], described["dataset"]
    for package in ("torch", "keras"):
        try:
            described["packages"][package] = version(package)
        except PackageNotFoundError:
            described["packages"][package] = None
    return described | {"cores": cores(), "processor": _processor(), "load_before": os.getloadavg()[0]}


def _processor() -> str | None:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return None
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), None)


def _measure(
    plans: list[Plan], rounds: int, product: MatrixProduct, environment: dict[str, Any], directory: Path
) -> dict[str, Any]:
    """All results. bench.json is written after every plan."""
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
        measured = measure(plan.cases, rounds, product, _say)
        document["matrix_product"]["gflops"] += measured.rates
        for key, record in zip(plan.keys, measured.records, strict=True):
            if key is None:
                continue
            if "/" in key.system:
                flops_of_lstm = record["forward_flops"] if key.system.endswith("/lstm") else flops_of_lstm
                _add_flops(record, flops_of_lstm)
            results.setdefault(key.system, {}).setdefault(key.workload, {})[str(key.runs)] = record
        write_json(directory / "bench.json", document)
    return document


def _add_flops(record: dict[str, Any], flops_of_lstm: int | None) -> None:
    """Add the operations of a cell's matrix products, and its time per operation relative to the LSTM's."""
    flops, ratio = record["forward_flops"], record["ratio"]
    record["forward_mflops"] = flops and flops / 1e6
    record["time_per_flop"] = ratio * flops_of_lstm / flops if ratio and flops and flops_of_lstm else None


def _write_and_print(document: dict[str, Any], directory: Path, *, as_json: bool) -> None:
    import numpy as np

    from rnnlab.bench import report
    from rnnlab.report.tables import csv_text
    from rnnlab.storage.files import write_whole

    results, product = document["results"], document["matrix_product"]
    rate = f"{np.median(product['gflops']):.0f} GFLOP/s" if product["gflops"] else "not measured"
    forward = any("inference" in workload for by_workload in results.values() for workload in by_workload)
    timed = "forward pass" if forward else "training step"
    title = f"a {timed} after compilation; matrix product: {rate} on {product['device']}"
    write_whole(directory / "bench.csv", csv_text(report.rows(results)).encode())
    write_whole(directory / "bench.png", report.draw(results, title))
    if as_json:
        json.dump(results, sys.stdout)
        print()
    else:
        print(report.table(results), end="")
        print(
            f"ms: {timed} of one run, median and quartiles over rounds. ratio: time / time of rnnlab (lstm). "
            "vs best peer: speed / speed of the fastest peer"
        )
        print(f"{document['rounds']} rounds; product of two {product['n']} x {product['n']} matrices: {rate} "
              f"on {product['device']}")  # fmt: skip
    files = [f"written: {directory / f'bench.{ending}'}" for ending in ("json", "csv", "png")]
    print(listing(files), file=sys.stderr if as_json else sys.stdout)


def _say(text: str) -> None:
    print(escaped(text), file=sys.stderr, flush=True)
