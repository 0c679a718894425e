"""The results of a bench as a table, as rows for other programs, and as a figure."""

from collections.abc import Mapping, Sequence
from typing import Any

from rnnlab.report.png import finish

Results = Mapping[str, Mapping[str, Mapping[str, Mapping[str, Any]]]]  # system, work, runs: a record

COLUMNS = {
    "ms_per_step_per_run": "ms", "low": "low", "high": "high", "ratio": "ratio", "gflops": "GFLOP/s",
    "of_matrix_product": "of product", "peak_mb": "peak MB", "compile_s": "compile s",
}  # fmt: skip


def rows(results: Results) -> list[dict[str, Any]]:
    """A row for each work, number of runs and system, in the order in which they were measured."""
    places = [(work, runs, system) for system, works in results.items() for work, by in works.items() for runs in by]
    order = {name: place for place, name in enumerate(dict.fromkeys(work for work, _, _ in places))}
    places.sort(key=lambda place: (order[place[0]], int(place[1])))  # stable: systems stay as they are
    left_out = ("rounds_ms",)
    return [
        {"work": work, "runs": int(runs), "system": system}
        | {name: value for name, value in results[system][work][runs].items() if name not in left_out}
        for work, runs, system in places
    ]


def table(results: Results) -> str:
    """Milliseconds of a training step of one run: median and quartiles, ratios, rates, memory, compile time."""
    from rich.console import Console
    from rich.table import Table

    found = rows(results)
    of_cells = any("time_per_flop" in row for row in found)
    columns = COLUMNS | ({"forward_mflops": "MFLOP forward", "time_per_flop": "time/FLOP"} if of_cells else {})
    shown = Table(title=None, box=None, header_style="bold")
    for index, name in enumerate(["work", "R", "system", *columns.values()]):
        shown.add_column(name, justify="left" if index in (0, 2) else "right", no_wrap=True)
    before: Any = None
    for row in found:
        if before is not None and before != row["work"]:
            shown.add_section()
        before = row["work"]
        hyperparams = ["failed"] if row["error"] else [_cell(name, row.get(name)) for name in columns]
        shown.add_row(row["work"], str(row["runs"]), row["system"], *hyperparams)
    console = Console(highlight=False)
    console.width = max(console.width if console.is_terminal else 160, 120)
    with console.capture() as captured:
        console.print(shown)
    failed = [f"{row['work']} R={row['runs']} {row['system']} failed: {row['error']}" for row in found if row["error"]]
    return "\n".join([*(line.rstrip() for line in captured.get().splitlines()), *failed]) + "\n"


def _cell(name: str, value: Any) -> str:
    if value is None:
        return "-"
    if name in ("ratio", "time_per_flop"):
        return f"{value:.2f}x"
    if name == "of_matrix_product":
        return f"{100 * value:.0f} %"
    if name in ("peak_mb", "gflops"):
        return f"{value:.0f}"
    return f"{value:.3g}" if name == "compile_s" else f"{value:.4g}"


def csv_rows(results: Results) -> list[dict[str, Any]]:
    """``rows``, all with the same keys."""
    found = rows(results)
    names = list(dict.fromkeys(name for row in found for name in row))
    return [{name: row.get(name) for name in names} for row in found]


def draw(results: Results, title: str) -> bytes:
    """A PNG: a panel a work, milliseconds of a training step of one run by R, a line a system with its quartiles; or,
    where every system has a single number, bars."""
    from matplotlib.figure import Figure

    found = [row for row in rows(results) if not row["error"]]
    kinds = list(dict.fromkeys(row["work"].partition(" ")[0] for row in found))
    figure = Figure(figsize=(3.4 + 3.6 * max(1, len(kinds)), 4.4), layout="constrained", dpi=110)
    panels = figure.subplots(1, max(1, len(kinds)), squeeze=False)[0]
    lines = len({(row["work"], row["runs"]) for row in found}) > len(kinds)
    for axes, kind in zip(panels, kinds, strict=False):
        here = [row for row in found if row["work"].partition(" ")[0] == kind]
        (_lines if lines and all(row["work"] == kind for row in here) else _bars)(axes, here)
        axes.set_title(kind, fontsize=9)
        axes.grid(alpha=0.25)
    return finish(figure, title)


def _lines(axes: Any, here: Sequence[Mapping[str, Any]]) -> None:
    for system in dict.fromkeys(row["system"] for row in here):
        mine = [row for row in here if row["system"] == system]
        middle = [row["ms_per_step_per_run"] for row in mine]
        reach = [[row["ms_per_step_per_run"] - row["low"] for row in mine],
                 [row["high"] - row["ms_per_step_per_run"] for row in mine]]  # fmt: skip
        width = 2.2 if system == "rnnlab" else 1.2
        axes.errorbar([row["runs"] for row in mine], middle, reach, marker="o", markersize=3, capsize=2,
                      linewidth=width, label=system)  # fmt: skip
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("{x:g}")
    axes.tick_params(labelsize=7, which="both")
    axes.set(xlabel="runs R", ylabel="ms a step of one run")


def _bars(axes: Any, here: Sequence[Mapping[str, Any]]) -> None:
    several = len({row["system"] for row in here}) > 1
    labels = [row["system"].removeprefix("rnnlab/") if several else row["work"].partition(" ")[2] for row in here]
    labels = [f"{label} R={row['runs']}".strip() for label, row in zip(labels, here, strict=True)]
    middle = [row["ms_per_step_per_run"] for row in here]
    reach = [[row["ms_per_step_per_run"] - row["low"] for row in here],
             [row["high"] - row["ms_per_step_per_run"] for row in here]]  # fmt: skip
    axes.barh(range(len(here)), middle, xerr=reach, color="C0", capsize=2)
    axes.set_yticks(range(len(here)), labels, fontsize=7)
    axes.invert_yaxis()
    axes.set(xlabel="ms a step of one run")
