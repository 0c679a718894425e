"""The results of a bench as a table, as rows for CSV, and as a figure."""

from collections.abc import Mapping, Sequence
from typing import Any

from rnnlab.bench.worker import RNNLAB
from rnnlab.core.terminal import terminal_table
from rnnlab.report.png import finish

Results = Mapping[str, Mapping[str, Mapping[str, Mapping[str, Any]]]]  # system -> workload -> runs -> record

COLUMNS = {
    "ms_per_step_per_run": "ms", "low": "low", "high": "high", "ratio": "ratio", "speed_vs_best_peer": "vs best peer",
    "gflops": "GFLOP/s", "of_matrix_product": "of product", "peak_mb": "peak MB", "compile_s": "compile s",
    "forward_mflops": "MFLOP forward", "time_per_flop": "time/FLOP",
}  # fmt: skip
ROUNDS = ("rounds_ms", "rounds_ratio")  # lists, in bench.json alone
OPTIONAL = ("speed_vs_best_peer", "forward_mflops", "time_per_flop")  # columns that are left out where no row has them


def rows(results: Results) -> list[dict[str, Any]]:
    """A row for each workload, number of runs and system, in the order of measurement, all with the same keys.

    ``speed_vs_best_peer``: the speed relative to the fastest peer with the same workload and runs; None without peers.
    """
    keys = [
        (workload, runs, system)
        for system, workloads in results.items()
        for workload, by_runs in workloads.items()
        for runs in by_runs
    ]
    order = {name: index for index, name in enumerate(dict.fromkeys(workload for workload, _, _ in keys))}
    keys.sort(key=lambda key: (order[key[0]], int(key[1])))  # stable: systems stay in order
    made = []
    for workload, runs, system in keys:
        record = {name: value for name, value in results[system][workload][runs].items() if name not in ROUNDS}
        milliseconds, best = record["ms_per_step_per_run"], best_peer(results, workload, runs)
        record["speed_vs_best_peer"] = best / milliseconds if best and milliseconds else None
        made.append({"workload": workload, "runs": int(runs), "system": system, **record})
    names = dict.fromkeys(name for row in made for name in row)
    return [{name: row.get(name) for name in names} for row in made]


def best_peer(results: Results, workload: str, runs: str) -> float | None:
    """The lowest milliseconds per step and run of a peer; None without any."""
    times = [
        workloads[workload][runs]["ms_per_step_per_run"]
        for system, workloads in results.items()
        if not system.startswith(RNNLAB) and runs in workloads.get(workload, {})
    ]
    return min((time for time in times if time is not None), default=None)


def table(results: Results) -> str:
    """Milliseconds of a training step of one run: median and quartiles, ratios, rates, memory, compile time."""
    all_rows = rows(results)
    columns = {
        name: title
        for name, title in COLUMNS.items()
        if name not in OPTIONAL or any(row.get(name) is not None for row in all_rows)
    }
    cells = []
    for row in all_rows:
        values = ["failed"] if row["error"] else [_cell(name, row.get(name)) for name in columns]
        cells.append([row["workload"], str(row["runs"]), row["system"], *values])
    failed = [
        f"{row['workload']} R={row['runs']} {row['system']} failed: {row['error']}" for row in all_rows if row["error"]
    ]
    return terminal_table(
        ["workload", "R", "system", *columns.values()],
        cells,
        justify=["left", "right", "left", *["right"] * len(columns)],
    ) + "".join(f"{line}\n" for line in failed)


def _cell(name: str, value: Any) -> str:
    if value is None:
        return "-"
    if name in ("ratio", "speed_vs_best_peer", "time_per_flop"):
        return f"{value:.2f}x"
    if name == "of_matrix_product":
        return f"{100 * value:.0f} %"
    if name in ("peak_mb", "gflops"):
        return f"{value:.0f}"
    return f"{value:.3g}" if name == "compile_s" else f"{value:.4g}"


def draw(results: Results, title: str) -> bytes:
    """A PNG with a panel per workload: milliseconds of a training step of one run with quartiles, as a line over R for
    each system; as bars where every system has a single value."""
    from matplotlib.figure import Figure

    measured = [row for row in rows(results) if not row["error"]]
    names = list(dict.fromkeys(row["workload"].partition(" ")[0] for row in measured))
    figure = Figure(figsize=(3.4 + 3.6 * max(1, len(names)), 4.4), layout="constrained", dpi=110)
    panels = figure.subplots(1, max(1, len(names)), squeeze=False)[0]
    several = len({(row["workload"], row["runs"]) for row in measured}) > len(names)
    for axes, name in zip(panels, names, strict=False):
        selected = [row for row in measured if row["workload"].partition(" ")[0] == name]
        (_lines if several and all(row["workload"] == name for row in selected) else _bars)(axes, selected)
        axes.set_title(name, fontsize=9)
        axes.grid(alpha=0.25)
    return finish(figure, title)


def _lines(axes: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    for system in dict.fromkeys(row["system"] for row in rows):
        selected = [row for row in rows if row["system"] == system]
        median, errors = _quartiles(selected)
        axes.errorbar([row["runs"] for row in selected], median, errors, marker="o", markersize=3, capsize=2,
                      linewidth=2.2 if system == RNNLAB else 1.2, label=system)  # fmt: skip
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("{x:g}")
    axes.tick_params(labelsize=7, which="both")
    axes.set(xlabel="runs R", ylabel="ms per step and run")


def _bars(axes: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    several = len({row["system"] for row in rows}) > 1
    labels = [
        row["system"].removeprefix(f"{RNNLAB}/") if several else row["workload"].partition(" ")[2] for row in rows
    ]
    labels = [f"{label} R={row['runs']}".strip() for label, row in zip(labels, rows, strict=True)]
    median, errors = _quartiles(rows)
    axes.barh(range(len(rows)), median, xerr=errors, color="C0", capsize=2)
    axes.set_yticks(range(len(rows)), labels, fontsize=7)
    axes.invert_yaxis()
    axes.set(xlabel="ms per step and run")


def _quartiles(rows: Sequence[Mapping[str, Any]]) -> tuple[list[float], list[list[float]]]:
    """Medians, and their distances to the lower and upper quartiles."""
    median = [row["ms_per_step_per_run"] for row in rows]
    below = [row["ms_per_step_per_run"] - row["low"] for row in rows]
    return median, [below, [row["high"] - row["ms_per_step_per_run"] for row in rows]]
