"""Which cases are measured together: systems, cells, sizes."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rnnlab.bench.processes import Case
from rnnlab.bench.worker import RNNLAB
from rnnlab.bench.workloads import Workload

SCALE_RUNS = (1, 2, 4, 8, 16, 32, 64)
BASE_RUNS = 8


class ResultKey(NamedTuple):
    """The position of a record in the results: ``results[system][workload][str(runs)]``."""

    system: str
    workload: str
    runs: int


class Plan(NamedTuple):
    """Cases that take turns, the first of them the reference, and the key of each; None: not recorded again."""

    title: str
    cases: Sequence[Case]
    keys: Sequence[ResultKey | None]


def compare_systems(
    workloads: Sequence[Workload], runs: Sequence[int], peers: Sequence[str], compute_dtypes: Sequence[str]
) -> Iterator[Plan]:
    """rnnlab, rnnlab with each of ``compute_dtypes``, and each peer, for every workload and number of runs."""
    for workload in workloads:
        for count in runs:
            cases = {RNNLAB: Case(RNNLAB, workload, count)}
            for dtype in compute_dtypes:
                cases[f"{RNNLAB}-{dtype}"] = Case(RNNLAB, workload._replace(compute_dtype=dtype), count)
            cases |= {peer: Case(peer, workload, count) for peer in peers}
            keys = [ResultKey(system, workload.name, count) for system in cases]
            yield Plan(f"{workload.name}, {count} runs", list(cases.values()), keys)


def compare_cells(workloads: Sequence[Workload], runs: Sequence[int], cells: Sequence[str]) -> Iterator[Plan]:
    """Each cell in turns with the LSTM, which is measured again for every cell; the systems are ``rnnlab/CELL``."""
    for workload in workloads:
        for count in runs:
            for number, cell in enumerate(["lstm", *(cell for cell in cells if cell != "lstm")]):
                names = dict.fromkeys(("lstm", cell))
                cases = [Case(RNNLAB, workload._replace(cell=name), count) for name in names]
                key = ResultKey(f"{RNNLAB}/{cell}", workload.name, count)
                yield Plan(f"{cell}: {workload.name}, {count} runs", cases, [None, key] if number else [key])


def scale(workloads: Sequence[Workload], runs: Sequence[int], devices: int, cores: int = 1) -> Iterator[Plan]:
    """rnnlab alone at other R; then at 8 runs with T and H from a quarter to four times; then with 1 to all devices,
    which also share the batches of one run; then with 1 to ``cores`` processes of one CPU core: 8 runs, 8 runs each,
    and one run whose batches all share."""
    for workload in workloads:
        for count in runs:
            yield _single(workload, count, workload.name, f"{workload.name}, R={count}")
        for axis in ("T", "H"):
            for factor in (0.25, 0.5, 2, 4):
                size = max(1, round(getattr(workload, axis) * factor))
                name = f"{workload.name} {axis}={size}"
                yield _single(workload._replace(**{axis: size}), BASE_RUNS, name, name)
        for count in _powers(devices):
            name = f"{workload.name} devices={count}"
            yield _single(workload, BASE_RUNS, name, name, devices=count)
            name = f"{workload.name} batch_devices={count}"
            if workload.B % count == 0:
                yield _single(workload, 1, name, name, devices=count, batch_devices=count)
        for count in _powers(cores):
            name = f"{workload.name} processes={count}"
            for number in dict.fromkeys((BASE_RUNS, BASE_RUNS * count)):
                yield _single(workload, number, name, f"{name}, R={number}", processes=count)
            name = f"{workload.name} processes={count} batch_devices={count}"
            if count > 1 and workload.B % count == 0:
                yield _single(workload, 1, name, name, processes=count, batch_devices=count)


def _powers(most: int) -> list[int]:
    return sorted({1, *(2**power for power in range(most.bit_length()) if 2**power < most), most})


def _single(workload: Workload, runs: int, name: str, title: str, **options: int) -> Plan:
    return Plan(title, [Case(RNNLAB, workload, runs, options)], [ResultKey(RNNLAB, name, runs)])
