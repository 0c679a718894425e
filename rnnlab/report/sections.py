"""What a page says of runs whose numbers may stand side by side, as HTML and for a terminal."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from rnnlab import claims
from rnnlab.config.experiment import Config
from rnnlab.report import drawing, published, strips, tables
from rnnlab.report import html as page
from rnnlab.report.figures import LAG, OF_TASKS
from rnnlab.report.paired_table import differences
from rnnlab.report.published import Curve
from rnnlab.report.tables import Published, Table, goal_text, table, text_table
from rnnlab.stats.summary import Group


class Part(NamedTuple):
    """Runs whose numbers may stand side by side: all that a section of a page is made of."""

    summary: Mapping[str, Any]
    found: Sequence[Group]
    diverged: Sequence[Mapping[str, Any]]  # arm, seed, step of each run that died
    published: Published | None = None  # the paper's numbers
    curves: Sequence[Curve] = ()
    verdicts: Sequence[Any] = ()  # with name, sentence, published, outcome, measured, effect, low, high, n, to_decide
    notes: Sequence[str] = ()  # what a reader must know before the numbers


def notes(summary: Mapping[str, Any], config: Config | None = None) -> list[str]:
    """What hedges the numbers of a run: unfinished, nothing yet, one seed, all dead."""
    results, said = summary["results"], []
    if not summary["complete"]:
        lacking = []
        for arm in config.arms if config is not None else ():
            mine = [row["epochs"] for row in results if row["arm"] == arm]
            if config is not None and (not mine or min(mine) < config.epochs):
                lacking.append(f"{arm}: {min(mine, default=0)} of {config.epochs} epochs")
        missing = f" Arms that are not done: {', '.join(lacking)}." if lacking else ""
        said.append(f"Unfinished: `resume` goes on. What is shown was saved so far, and will change.{missing}")
    if not results:
        said.append("No run has ended an epoch: there is nothing to show.")
    elif max(row["runs"] for row in results) == 1:
        said.append("One seed: it has no interval, and tells nothing about what another seed would give.")
    for row in results:
        if row["diverged"] == row["runs"]:
            said.append(f"Every run of {tables.label(row)} died: it has no numbers.")
    return list(dict.fromkeys(said))


def text(part: Part) -> str:
    """What a terminal shows: the claims, the table, the published curves, what hedges them."""
    shown = claims.text(part.verdicts)
    shown += text_table(part.summary, part.published) + published.text(published.beside(part.curves, part.found))
    return shown + "".join(f"{note}\n" for note in part.notes)


def section(part: Part, level: int = 2, key: str = "") -> str:
    """The part as HTML: claims, results, every run at the end, curves, cost, dead runs. ``key`` makes ids unique."""
    summary, found = part.summary, part.found
    pieces = [page.paragraph(note, note=True) for note in part.notes] + [page.claims(part.verdicts, level)]
    if not summary["results"]:
        return "".join(pieces)
    success_threshold = goal_text(summary)
    pieces += [
        page.heading("Results", level), page.table(table(summary, part.published), "results"),
        page.paragraph(
            "Mean ± half of the 95 % interval over seeds (Student t). A run whose loss went non-finite is counted "
            "under dead and enters no mean; n: the runs that do."
        ),
        page.paragraph(f"{success_threshold}.") if success_threshold else "",
        page.heading("Every run at the end", level),
        strips.strips(found, summary["headline"], part.published) or page.paragraph("No live run has a number."),
        page.paragraph("A dot a run, a tick their mean, a bar its 95 % interval, ◇ the paper's number where known."),
        page.details("Every run's number", page.table(_seeds(part), "every run's number")),
        *_differences(part, level),
        *_curves(part, level, key),
        page.heading("Time and cost", level), page.table(tables.costs(summary, found), "time and cost"),
        page.paragraph("Time: training and evaluation of all runs of an arm, side by side; a run's is its share."),
        page.heading("Dead runs", level), _dead(part),
    ]  # fmt: skip
    return "".join(pieces)


def _differences(part: Part, level: int) -> list[str]:
    shown = differences(part.found, part.summary["headline"])
    if not shown.rows:
        return []
    words = (
        f"{part.summary['headline'].replace('_', ' ')}, of the same seeds (paired t); seeds needed: for 80 % power, "
        "were the difference what was measured. A seed that died in either arm is left out."
    )
    return [
        page.heading(f"Differences from {part.found[0].arm}", level), page.table(shown, "differences"),
        page.paragraph(f"{words[0].upper()}{words[1:]}"),
    ]  # fmt: skip


def _curves(part: Part, level: int, key: str) -> list[str]:
    found, metric = part.found, part.summary["headline"].removeprefix("last_")
    metric = metric.removeprefix("test_").removesuffix("_at_best_validation")
    held_out = "validation" if any(("validation", "loss") in group.values for group in found) else "test"
    wanted = [("train", "loss"), (held_out, "loss"), (held_out, metric)]
    wanted += [(curve.split, curve.metric) for curve in part.curves]
    panels, keys = [], []
    panes = drawing.panes(found)
    arms = list(dict.fromkeys(group.arm for group in found)) if len(panes) > 1 else []
    for split, name in dict.fromkeys(wanted):
        drawn = [drawing.curve_lines(pane, split, name, part.curves, arms) for _, pane in panes]
        extent = drawing.extent_of([line for lines in drawn for line in lines])
        for (hyperparams, _), lines in zip(panes, drawn, strict=True):
            title = f"{split} {name}".replace("_", " ") + (f", {hyperparams}" if hyperparams else "")
            panels.append(drawing.panel(lines, title, "epoch", extent=extent) if lines else "")
            keys += lines
    pieces = []
    if any(panels):
        pieces += [page.heading("Learning curves", level), page.panels(panels, drawing.legend(keys), f"seeds{key}")]
        words = "Mean over live runs and its 95 % band, cut off where the single runs end; figures/loss_curves.csv."
        pieces.append(page.paragraph(words))
    beside = published.table(published.beside(part.curves, found))
    if beside[1]:
        shown = page.table(Table(*beside), "beside the published curves")
        pieces += [page.heading("Beside the published curves", level), shown]
    names = list(dict.fromkeys(m for group in found for _, m in group.values if m not in OF_TASKS))
    probed = [drawing.curve_lines(found, "validation", m) for m in names if not LAG.fullmatch(m)]
    titles = [m.replace("_", " ") for m in names if not LAG.fullmatch(m)]
    by_epoch = [drawing.panel(lines, title, "epoch") for lines, title in zip(probed, titles, strict=True)]
    if any(by_epoch):
        shown = page.panels(by_epoch, drawing.legend([line for lines in probed for line in lines]), f"probes{key}")
        pieces += [page.heading("What the probes measured", level), shown]
    return pieces + _lags(found, [m for m in names if LAG.fullmatch(m)], level, key)


def _lags(found: Sequence[Group], names: Sequence[str], level: int, key: str) -> list[str]:
    kinds: dict[str, dict[int, str]] = {}
    for name in names:
        parsed = LAG.fullmatch(name)
        assert parsed is not None
        kinds.setdefault(parsed["what"], {})[int(parsed["lag"])] = name
    panels, keys = [], []
    for what, lags in kinds.items():
        stages = [drawing.lag_lines(found, what, lags, late) for late in (False, True)]
        extent, log = drawing.extent_of([line for lines in stages for line in lines]), what.startswith("log10_")
        for lines, words in zip(stages, ("at initial values", "after the last epoch"), strict=True):
            title = f"{what.removeprefix('log10_').replace('_', ' ')} {words}"
            panels.append(
                drawing.panel(lines, title, "lag in steps", by_lag=True, log=log, extent=extent) if lines else ""
            )
            keys += lines
    if not any(panels):
        return []
    return [page.heading("By lag in time", level), page.panels(panels, drawing.legend(keys), f"lags{key}")]


def _seeds(part: Part) -> Table:
    headline = part.summary["headline"]
    rows = tables.every_seed(part.found, headline)
    header = ["arm", *drawing.varying_numbers(part.found), "seed"]
    cells = [[_cell(row[name]) for name in header] for row in rows]
    ends = ["diverged_at" if row["diverged"] else _cell(row[headline]) for row in rows]
    return Table([*header, headline.replace("_", " ")], [[*row, end] for row, end in zip(cells, ends, strict=True)])


def _dead(part: Part) -> str:
    if not part.diverged:
        return page.paragraph("None: every run's loss stayed finite.")
    header = list(dict.fromkeys(name for row in part.diverged for name in row))
    rows = [[_cell(row.get(name, "")) for name in header] for row in part.diverged]
    return page.table(Table([*header[:2], "died at step", *header[3:]], rows), "dead runs")


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return "-" if np.isnan(value) else f"{value:.6g}"
    return str(value)
