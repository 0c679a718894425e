"""Tables, figures and one self-contained page from what a run left behind."""

import base64
import html
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rnnlab import claims, published, records
from rnnlab.errors import InputError
from rnnlab.figures import csv_text, draw_curves, draw_lags, draw_probes, lag_curves, loss_curves, probe_curves
from rnnlab.progress import duration
from rnnlab.summary import groups

Published = Mapping[tuple[str, float], float]  # (arm, learning rate) -> the paper's number


def read_summary(directory: Path) -> dict[str, Any]:
    """The document of summary.json. Raises InputError if it is missing, cut short or of another version."""
    summary = records.read_json(directory / "summary.json")
    try:
        whole = {"experiment", "complete", "headline", "goal", "arms", "results"} <= set(summary)
        table(summary)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError):
        whole = False
    if not whole:
        raise InputError(f"{directory / 'summary.json'}: altered or of another version; accepted: what run wrote")
    return summary


def table(summary: Mapping[str, Any], published: Published | None = None) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the results, as text: an interval is ``mean ± half width`` (95 %, Student t, over seeds)."""
    results = summary["results"]
    names = [name for name in dict.fromkeys(key for row in results for key in row) if name not in _NOT_NUMBERS]
    varying = [name for name in names if len({row.get(name) for row in results}) > 1]
    metrics = [name for name in (results[0]["metrics"] if results else ()) if name.split("_")[-1] != "loss"]
    header = ["arm", *varying, *(name.replace("_", " ") for name in metrics), "n", "dead", "parameters", "time"]
    if published:
        header.insert(1 + len(varying) + len(metrics), "paper")
    if summary["goal"]:
        header[-4:-4] = ["solved", "median steps"]
    rows = []
    for row in results:
        arm = summary["arms"].get(row["arm"], {})
        cells = [row["arm"], *(_number(row.get(name)) for name in varying)]
        cells += [interval_text(row["metrics"][name]) for name in metrics]
        if published:
            known = published.get((row["arm"], row.get("learning_rate")))
            cells.append("" if known is None else f"{known:.4f}")
        if summary["goal"]:
            median = row["steps_to_solve"]["median"]
            cells += [_fraction_text(row["solved"]), "-" if median is None else f"{median:,.0f}"]
        counted = row["metrics"][summary["headline"]]["n"]
        parameters = f"{arm['parameters']:,}" if "parameters" in arm else ""
        rows.append([*cells, str(counted), str(row["dead"]), parameters, duration(arm.get("seconds", 0.0))])
    return header, rows


_NOT_NUMBERS = ("arm", "runs", "dead", "epochs", "metrics", "solved", "steps_to_solve")


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


def interval_text(interval: Mapping[str, float | None]) -> str:
    """``0.9712 ± 0.0021``; without an interval where there are fewer than two runs, ``-`` where there is none."""
    mean, low = interval["mean"], interval["low"]
    if mean is None:
        return "-"
    if low is None:
        return f"{mean:.4f} (one run)"
    return f"{mean:.4f} ± {mean - low:.4f}"


def _fraction_text(solved: Mapping[str, Any]) -> str:
    """``5 of 8 (31-86 %)``, the interval in brackets."""
    return f"{solved['successes']} of {solved['n']} ({100 * solved['low']:.0f}-{100 * solved['high']:.0f} %)"


def goal_text(summary: Mapping[str, Any]) -> str:
    """What ``solved`` and ``median steps`` mean, in a sentence; "" without a goal."""
    if not summary["goal"]:
        return ""
    metric, least = summary["goal"]["metric"], summary["goal"]["least"]
    return (
        f"solved: runs whose validation {metric} was {least:g} or more after some epoch, with Wilson's 95 % interval; "
        "median steps: what they needed"
    )


def text_table(summary: Mapping[str, Any], published: Published | None = None) -> str:
    """The results as text that fits the terminal (160 columns for a file or a pipe)."""
    from rich.console import Console
    from rich.table import Table

    header, rows = table(summary, published)
    shown = Table(title=None, box=None, header_style="bold")
    for index, name in enumerate(header):
        shown.add_column(name, justify="left" if index == 0 else "right", no_wrap=index == 0)
    for row in rows:
        shown.add_row(*row)
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 160
    with console.capture() as captured:
        console.print(shown)
        console.print(
            "mean ± half of the 95 % interval over seeds; time: training and evaluation of all runs of the arm"
        )
        if summary["goal"]:
            console.print(goal_text(summary))
        if not summary["complete"]:
            console.print("unfinished: the run goes on with `resume`")
    return captured.get()


class Report(NamedTuple):
    """What was written, and what a terminal shows of it."""

    summary: dict[str, Any]
    text: str
    figures: list[Path]


def write_report(
    directory: Path,
    numbers: Published | None = None,
    curves: Sequence[published.Curve] = (),
    verdicts: Sequence[claims.Verdict] = (),
) -> Report:
    """Write figures/ (PNG with the data behind it as CSV) and report.html.

    ``numbers`` and ``curves`` are the paper's; ``verdicts`` on its claims go into summary.json too, once the run is
    complete (until then the file is its training's). Raises InputError if a file of the run is missing or unreadable.
    """
    summary = read_summary(directory)
    environment = records.read_json(directory / "env.json")
    config = records.read_text(directory / "config.json")
    found = groups(records.read_metrics(directory / "metrics.parquet"))
    points = loss_curves(found)
    title = f"{summary['experiment']}: mean over seeds and its 95 % interval"
    pictures = {"loss_curves": (points, draw_curves(points, title), "Training and held-out loss of every arm by epoch")}
    if probed := probe_curves(found):
        pictures["probes"] = (probed, draw_probes(probed, title), "What the probes measured, by epoch")
    if by_lag := lag_curves(found):
        pictures["lags"] = (by_lag, draw_lags(by_lag, title), "What the probes measured, by lag in time")
    text = text_table(summary, numbers)
    if beside := published.beside(curves, found):
        name = "Ours by epoch beside the published curves"
        pictures["published_curves"] = (beside, published.draw(beside, title), name)
        text += published.text(beside)
    text += claims.text(verdicts)
    if verdicts:
        summary["claims"] = [verdict._asdict() for verdict in verdicts]
    if verdicts and summary["complete"]:
        records.write_json(directory / "summary.json", summary)
    for name, (rows, picture, _) in pictures.items():
        records.write_whole(directory / "figures" / f"{name}.csv", csv_text(rows).encode())
        records.write_whole(directory / "figures" / f"{name}.png", picture)
    shown = {f"{words}; the numbers are in figures/{name}.csv": png for name, (_, png, words) in pictures.items()}
    state = "" if summary["complete"] else "<p><strong>Unfinished.</strong> What is shown is what was saved so far.</p>"
    below = _LEGEND + (f"<p>{html.escape(goal_text(summary))}.</p>" if summary["goal"] else "")
    whole = page(f"rnnlab: {summary['experiment']}", table(summary, numbers), state, below, shown, environment, config)
    records.write_whole(directory / "report.html", whole.encode())
    return Report(summary, text, [directory / "figures" / f"{name}.png" for name in pictures])


_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; display: block; overflow-x: auto; }
th, td { padding: .25rem .8rem; text-align: right; border-bottom: 1px solid #8886; vertical-align: bottom; }
td { white-space: nowrap; } th { min-width: 3rem; }
th:first-child, td:first-child { text-align: left; }
img { max-width: 100%; background: white; } pre { overflow-x: auto; }
summary { font-weight: bold; padding: .5rem 0; cursor: pointer; }
"""


_LEGEND = """<p>Mean and half width of the 95 % interval over seeds (Student t). A run whose loss went non-finite
is counted under <em>dead</em> and enters no mean.</p>"""


def page(
    title: str,
    results: tuple[list[str], list[list[str]]],
    above: str,
    below: str,
    pictures: Mapping[str, bytes],
    environment: Any,
    config: str,
) -> str:
    """One self-contained HTML page: a table between two paragraphs (HTML), pictures, configuration, environment."""
    header, rows = results
    head = "".join(f"<th scope=col>{html.escape(name)}</th>" for name in header)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    title = html.escape(title)
    images = "\n".join(
        f'<img alt="{html.escape(words)}" src="data:image/png;base64,{base64.b64encode(picture).decode()}">'
        for words, picture in pictures.items()
    )
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><style>{_STYLE}</style></head><body>
<h1>{title}</h1>{above}
<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>
{below}
{images}
<details><summary>Configuration</summary><pre>{html.escape(config)}</pre></details>
<details><summary>Environment</summary><pre>{html.escape(json.dumps(environment, indent=2))}</pre></details>
</body></html>
"""
