"""Which cases are measured together: systems, cells, sizes."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rnnlab.bench.processes import Case
from rnnlab.bench.workloads import Work

OURS = "rnnlab"
SCALE_RUNS = (1, 2, 4, 8, 16, 32, 64)
BASE_RUNS = 8


class Place(NamedTuple):
    """Where a record stands among the results: ``results[system][work][str(runs)]``."""

    system: str
    work: str
    runs: int


class Plan(NamedTuple):
    """Cases that take turns, the first of them the reference; a place for each, None where it has one already."""

    title: str
    cases: Sequence[Case]
    places: Sequence[Place | None]


def compare_systems(
    works: Sequence[Work], runs: Sequence[int], peers: Sequence[str], compute_dtype: Sequence[str]
) -> Iterator[Plan]:
    """The lab, again with each of ``compute_dtype``, and each peer, for every work and number of runs."""
    for work in works:
        for count in runs:
            narrow = {f"{OURS}-{name}": Case(OURS, work._replace(compute_dtype=name), count) for name in compute_dtype}
            cases = {OURS: Case(OURS, work, count), **narrow} | {peer: Case(peer, work, count) for peer in peers}
            places = [Place(system, work.name, count) for system in cases]
            yield Plan(f"{work.name}, {count} runs", list(cases.values()), places)


def compare_cells(works: Sequence[Work], runs: Sequence[int], cells: Sequence[str]) -> Iterator[Plan]:
    """Each cell in turns with the LSTM, which is measured anew beside every one; ``rnnlab/CELL`` names the system."""
    for work in works:
        for count in runs:
            for number, cell in enumerate(["lstm", *(cell for cell in cells if cell != "lstm")]):
                of_lstm = Place(f"{OURS}/lstm", work.name, count)
                cases = [Case(OURS, work._replace(cell=name), count) for name in dict.fromkeys(("lstm", cell))]
                places = [of_lstm] if number == 0 else [None, Place(f"{OURS}/{cell}", work.name, count)]
                yield Plan(f"{cell}: {work.name}, {count} runs", cases, places)


def scale(works: Sequence[Work], runs: Sequence[int], devices: int) -> Iterator[Plan]:
    """The lab alone, from a work and 8 runs: other R; then T and H from a quarter to four times; then devices."""
    for work in works:
        for count in runs:
            yield _alone(work, count, work.name, f"{work.name}, R={count}")
        for axis in ("T", "H"):
            for factor in (0.25, 0.5, 2, 4):
                size = max(1, round(getattr(work, axis) * factor))
                name = f"{work.name} {axis}={size}"
                yield _alone(work._replace(**{axis: size}), BASE_RUNS, name, name)
        for count in sorted({1, *(2**power for power in range(devices.bit_length()) if 2**power < devices), devices}):
            name = f"{work.name} devices={count}"
            yield _alone(work, BASE_RUNS, name, name, devices=count)


def _alone(work: Work, runs: int, name: str, title: str, **options: int) -> Plan:
    return Plan(title, [Case(OURS, work, runs, options)], [Place(OURS, name, runs)])
