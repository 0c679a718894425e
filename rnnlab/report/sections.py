"""The sections of a page about runs with comparable results, as HTML and for a terminal."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from rnnlab import claims
from rnnlab.config.experiment import Config
from rnnlab.report import html, published, ranking, run_figures, tables
from rnnlab.report.early_signs import early_signs
from rnnlab.report.figures import Figure, StripFigure
from rnnlab.report.paired_table import differences
from rnnlab.report.published import Curve
from rnnlab.report.svg import svg
from rnnlab.report.tables import Published, Table
from rnnlab.stats.summary import Group

MANY = 40  # groups: a page with more begins with their ranks, and folds what has a row for each


class Results(NamedTuple):
    """Runs with comparable results: everything that a section shows."""

    summary: Mapping[str, Any]  # as in summary.json
    groups: Sequence[Group]
    diverged: Sequence[Mapping[str, Any]]  # arm, seed, step of each diverged run
    published: Published | None = None  # the paper's values
    curves: Sequence[Curve] = ()  # the paper's curves
    verdicts: Sequence[claims.Verdict] = ()
    notes: Sequence[str] = ()  # caveats, shown first
    also_published: Mapping[str, Published] | None = None  # the paper's values of further metrics, by metric

    def figures(self) -> dict[str, Figure | StripFigure]:
        """The figures by name."""
        headline = tables.headline_of(self.summary)
        drawn = run_figures.figures(
            self.groups, headline, self.summary["experiment"], self.published, self.curves
        )  # fmt: skip
        found = ranking.ranked(self.groups, headline)
        title = f"{self.summary['experiment']}: score and cost, mean over seeds"
        cost = None if found is None else ranking.cost_figure(found, self.summary, headline, title)
        return drawn if cost is None else {**drawn, cost.name: cost}


def notes(summary: Mapping[str, Any], config: Config | None = None) -> list[str]:
    """Caveats of a run: unfinished, no results, one seed, no finite run."""
    results, caveats = summary["results"], []
    if not summary["complete"]:
        unfinished = []
        for arm in config.arms if config is not None else ():
            epochs = [row["epochs"] for row in results if row["arm"] == arm]
            if config is not None and (not epochs or min(epochs) < config.epochs):
                unfinished.append(f"{arm}: {min(epochs, default=0)} of {config.epochs} epochs")
        arms = f" Unfinished arms: {', '.join(unfinished)}." if unfinished else ""
        caveats.append(f"Unfinished: these are the results so far; `resume` continues.{arms}")
    if not results:
        caveats.append("No results: no run has finished an epoch.")
    elif max(row["runs"] for row in results) == 1:
        caveats.append("One seed: there is no interval, and another seed may give something else.")
    for row in results:
        if row["diverged"] == row["runs"]:
            caveats.append(f"Every run of {tables.row_label(row)} diverged: it has no results.")
    return list(dict.fromkeys(caveats))


def text(results: Results) -> str:
    """What a terminal shows: claims, results, published curves, caveats."""
    shown = claims.text(results.verdicts) + tables.results_text(results.summary, results.published)
    shown += published.text(published.side_by_side(results.curves, results.groups))
    return shown + "".join(f"{note}\n" for note in results.notes)


def section(results: Results, figures: Mapping[str, Figure | StripFigure], level: int = 2, key: str = "") -> str:
    """The results as HTML. ``key`` makes ids unique on the page."""
    summary, groups = results.summary, results.groups
    pieces = [html.paragraph(note, note=True) for note in results.notes] + [html.claims(results.verdicts, level)]
    if not summary["results"]:
        return "".join(pieces)
    threshold = tables.threshold_text(summary)
    drawn = {name: svg(figure, key) for name, figure in figures.items()}
    ranks = _ranks(results, drawn, level)
    many = len(groups) > MANY and bool(ranks)

    def long(inside: str) -> str:
        return html.details(f"All {len(groups)} groups", inside) if many else inside

    pieces += [
        *(ranks if many else ()),
        html.heading("Results", level), long(html.table(tables.table(summary, results.published), "results")),
        html.paragraph(
            "Mean ± half-width of the 95 % CI over seeds (Student t). Runs whose loss became non-finite count as "
            "diverged and enter no mean; n is the number of the others."
        ),
        html.paragraph(f"{threshold[0].upper()}{threshold[1:]}.") if threshold else "",
        html.details("All metrics", html.table(tables.all_metrics(summary, results.also_published), "all metrics")),
        html.heading("Every run at the end", level),
        long(drawn.get("seeds") or html.paragraph("No run has a finite value.")),
        html.paragraph("Dot: a run; tick: mean; bar: 95 % CI; ◇: the paper's value, if known. figures/seeds.csv."),
        html.details("Value of every run", html.table(_runs(results), "value of every run")),
        *_signs(results, level), *(() if many else ranks),
        *_differences(results, level),
        *_curves(results, drawn, level),
        html.heading("Time and cost", level), html.table(tables.costs(summary, groups), "time and cost"),
        html.paragraph("Training and evaluation of all runs of an arm together; time per run is its share."),
        html.heading("Diverged runs", level), _diverged(results),
    ]  # fmt: skip
    return "".join(pieces)


def _signs(results: Results, level: int) -> list[str]:
    if not results.summary["success_threshold"]:
        return []
    shown = early_signs(results.groups, **results.summary["success_threshold"])
    words = (
        "Of the arms in which some runs solved the task and others did not: the metric that told them apart best at a "
        "quarter of the steps of the first that did. It is the best of many, so some of its strength is chance."
    )
    title = html.heading("Early signs", level)
    return [title, html.table(shown, "early signs"), html.paragraph(words)] if shown.rows else []


def _ranks(results: Results, drawn: Mapping[str, str], level: int) -> list[str]:
    headline = tables.headline_of(results.summary)
    found = ranking.ranked(results.groups, headline)
    if found is None:
        return []
    words = (
        "Rank of an arm among all arms of a seed, 1 the best; diverged runs share the last place. Each arm at the "
        "hyperparameters that are best on validation, so that arms with more of them had more chances. Better, worse: "
        f"paired t-tests, p < {ranking.ALPHA:g} after Holm's correction over all pairs."
    )
    pairs = html.table(ranking.pairs_table(found), "all pairs")
    probability = "Per cent of pairs of runs in which the row's is better; * p < 0.05 after Holm over all pairs."
    ranks = html.table(ranking.ranks_table(found, results.summary, headline), "ranks")
    return [
        html.heading("Ranks and cost", level), ranks,
        html.paragraph(words), drawn.get("cost", ""), html.details("All pairs", pairs + html.paragraph(probability)),
    ]  # fmt: skip


def _differences(results: Results, level: int) -> list[str]:
    headline = tables.headline_of(results.summary)
    counts = Counter(group.arm for group in results.groups)
    tuned = len(counts) > 1 and min(counts.values()) > 1  # what only some arms sweep is the question, not tuning
    groups = ranking.at_best(results.groups) if tuned else results.groups
    shown = differences(groups, headline)
    if not shown.rows:
        return []
    name = headline.name.replace("_", " ")
    words = (
        f"{name[0].upper()}{name[1:]}, paired by seed (t-test); seeds that diverged in either arm are left out. Seeds "
        "needed: for 80 % power if the true difference were the measured one."
        + (" Each arm at the hyperparameters that are best on validation." if tuned else "")
    )
    title = f"Differences from {results.groups[0].arm}"
    return [html.heading(title, level), html.table(shown, "differences"), html.paragraph(words)]


def _curves(results: Results, drawn: Mapping[str, str], level: int) -> list[str]:
    pieces = []
    if curves := drawn.get("loss_curves", "") + drawn.get("metric_curves", ""):
        words = "Mean over finite runs and 95 % CI, cut off where single runs end. figures/loss_curves.csv and "
        pieces += [html.heading("Learning curves", level), curves, html.paragraph(f"{words}figures/metric_curves.csv.")]
    side_by_side = published.table(published.side_by_side(results.curves, results.groups))
    if side_by_side.rows:
        pieces += [html.heading("Published curves", level), drawn.get("published_curves", "")]
        pieces.append(html.table(side_by_side, "published curves"))
    for name, title in (("probes", "Probes"), ("lags", "Gradients by lag")):
        if drawn.get(name):
            pieces += [html.heading(title, level), drawn[name]]
    return pieces


def _runs(results: Results) -> Table:
    headline = tables.headline_of(results.summary).name
    rows = tables.run_rows(results.groups, tables.headline_of(results.summary))
    header = ["arm", *tables.varying_hyperparams(results.groups), "seed"]
    cells = [
        [*(_cell(row[name]) for name in header), "diverged" if row["diverged"] else _cell(row[headline])]
        for row in rows
    ]  # fmt: skip
    return Table([*header, headline.replace("_", " ")], cells)


def _diverged(results: Results) -> str:
    if not results.diverged:
        return html.paragraph("None: every loss stayed finite.")
    header = list(dict.fromkeys(name for row in results.diverged for name in row))
    rows = [[_cell(row.get(name, "")) for name in header] for row in results.diverged]
    return html.table(Table([*header[:2], "diverged at step", *header[3:]], rows), "diverged runs")


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return "-" if np.isnan(value) else f"{value:.6g}"
    return str(value)
