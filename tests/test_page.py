"""The page of a run and of several: read by a parser and by a browser, and its numbers against the records."""

import csv
import html
import io
import json
import os
import re
import shutil
import subprocess
from html.parser import HTMLParser

import numpy as np
import pytest
import scipy.stats

from rnnlab.claims import Verdict
from rnnlab.cli.main import main
from rnnlab.core.errors import InputError
from rnnlab.report import compare, figures, run_figures, sections, svg, tables
from rnnlab.report import html as page
from rnnlab.report import write as report
from rnnlab.report.paired_table import differences
from rnnlab.report.published import Curve
from rnnlab.stats import seeds_needed
from rnnlab.stats.summary import Group, Headline, groups, headline_values, summarize
from rnnlab.storage import files
from rnnlab.storage.metrics import DIVERGED_AT, Metrics, read_metrics
from tests.helpers.recorded_runs import ARMS, RATE, TASK, directory_of, fill, hyperparams

VOID = {"meta", "input", "img", "br"}


VERDICTS = [
    Verdict("first", "a < b & so on", "0.91", "holds", "0.93", 0.02, 0.01, 0.03, 3, ""),
    Verdict("second", "b beats a", "0.95", "undecided", "0.94", -0.01, float("nan"), float("nan"), 1, "9 seeds"),
]


class Reader(HTMLParser):
    """Tags that close in order, the words outside of them, attributes of each."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: list[tuple[str, dict]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    def all(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.found if name == tag]


def run_of(path, *, seeds=3, diverged=None, rate=1e-2, complete=True, data="digits", arms="ab"):
    """A run whose arm a is finite; in arm b the seed at index ``diverged`` diverges. ``seeds`` is 1 or 2."""
    metrics = Metrics("quickstart", [RATE])
    if seeds == 1:
        for split in ("train", "validation", "test"):
            values = {"loss": np.array([1.5]), "accuracy": np.array([0.625])}
            metrics.add("a", np.array([0]), hyperparams(1), 1, 5, split, values)
    elif seeds:
        for arm in arms:
            fill(metrics, arm, rate=rate, diverged=diverged if arm == "b" else None)
    directory = directory_of(path, metrics, complete=complete)
    source = {"name": data, "task": "classification", "source": {"sha256": f"{data}0123456789"}}
    environment = {"command": ["python", "-m", "experiments", "run", "quick start"], "dataset": source}
    files.write_json(directory / "env.json", {"python": "3", "packages": {"jax": "<&>"}, **environment})
    return directory


def shown(directory) -> Reader:
    return Reader((directory / "report.html").read_text())


def words(directory) -> str:
    return " ".join(" ".join(shown(directory).words).split())


def test_the_page_is_whole_and_can_be_read_without_eyes_or_mouse(tmp_path):
    directory = run_of(tmp_path / "run", diverged=2)
    curve = Curve("author", "a", "train", "loss", {1: 2.5, 9: 1.0})
    report.write_report(directory, {("a", 0.01): 0.61}, [curve], VERDICTS)
    text = (directory / "report.html").read_text()
    read = shown(directory)
    assert "://" not in text
    assert not {"link", "iframe", "object", "img"} & {tag for tag, _ in read.found}
    assert [given for tag, given in read.found if tag == "script"] == [{}]  # its own, which sorts tables
    assert len(read.all("h1")) == 1
    for figure in read.all("svg"):
        assert figure.get("aria-hidden") == "true" or (figure["role"] == "img" and figure["aria-label"])
    named = {attributes["for"] for attributes in read.all("label")}
    boxes = [attributes["id"] for attributes in read.all("input")]
    assert named == set(boxes)
    assert len(boxes) == len(named) == 3
    assert all(box["tabindex"] == "0" and box["aria-label"] for box in read.all("div") if box.get("class") == "scroll")
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text
    order = ["Claims", "Results", "Every run at the end", "Differences from", "Learning curves",
             "Published curves", "Time and cost", "Diverged runs", "Command and environment"]  # fmt: skip
    places = [text.index(f">{heading}") for heading in order]
    assert places == sorted(places)
    assert "python -m experiments run 'quick start'" in words(directory)


HEADLINE = Headline("test", "accuracy", "best_validation", True)


def test_differences_are_paired_by_seed_and_corrected_for_their_number():
    def group(arm, seeds, values, **found):
        curves = {("test", "accuracy"): np.array(values)[:, None], ("validation", "loss"): np.ones((len(seeds), 1))}
        diverged = np.isnan(values)
        return Group(arm, found, np.array(seeds), np.array([1]), curves, diverged, np.array([10]))

    first = group("a", [0, 1, 2, 3], [0.5, 0.6, 0.7, 0.9])
    better = group("b", [3, 1, 0], [0.95, 0.70, 0.58], rate=2.0)
    diverged, same = group("b", [0, 1], [np.nan, np.nan], rate=3.0), group("c", [0, 1, 2], [0.5, 0.6, 0.7])
    found = differences([first, better, diverged, same], HEADLINE)
    assert found.header[1] == "minus a"
    expected = scipy.stats.ttest_rel([0.95, 0.70, 0.58], [0.9, 0.6, 0.5])
    low, high = expected.confidence_interval()
    row = found.rows[0]
    assert row[:4] == ["b rate=2", "+0.07667", f"{low:+.4g} to {high:+.4g}", "3"]
    assert row[4] == f"{min(1, 3 * expected.pvalue):.2g}"
    assert row[5] == f"{np.corrcoef([0.58, 0.70, 0.95], [0.5, 0.6, 0.9])[0, 1]:+.2f}"
    assert row[6].startswith("0.62 (")  # of 12 pairs 7 are won and one is equal
    assert int(row[7]) == seeds_needed(0.23 / 3, float(np.std([0.05, 0.1, 0.08], ddof=1)))
    assert found.rows[1] == ["b rate=3", "-", "-", "0", "-", "-", "-", "-"]
    assert found.rows[2][:5] == ["c", "+0", "+0 to +0", "3", "-"]
    assert differences([first], HEADLINE).rows == []


def test_arms_are_compared_at_their_best_unless_only_some_are_swept(tmp_path):
    def compared(name, *filled):
        metrics = Metrics("quickstart", [RATE])
        for arm, rate, diverged in filled:
            fill(metrics, arm, rate=rate, diverged=diverged)
        directory = directory_of(tmp_path / name, metrics)
        report.write_report(directory, None)
        table = (directory / "report.html").read_text().split("Differences from")[1].split("</table>")[0]
        return re.search("minus ([^<]*)<", table)[1], re.findall("<tr><td>([^<]*)<", table)

    both = ("a", 0.1, 1), ("a", 0.01, None), ("b", 0.1, None), ("b", 0.01, 1)
    assert compared("both", *both) == ("a learning_rate=0.01", ["b learning_rate=0.1"])
    assert compared("one", *both[:2]) == ("a learning_rate=0.1", ["a learning_rate=0.01"])
    assert compared("some", *both[1:]) == ("a learning_rate=0.01", ["b learning_rate=0.1", "b learning_rate=0.01"])


def test_the_numbers_on_the_page_are_those_of_the_records(tmp_path):
    directory = run_of(tmp_path / "run", diverged=2)
    report.write_report(directory, {("a", 0.01): 0.61}, (), VERDICTS)
    summary, said = report.read_summary(directory), words(directory)
    for row in summary["results"]:
        interval = row["metrics"][summary["headline"]]
        assert f"{interval['mean']:.4f} ± {interval['mean'] - interval['low']:.4f}, n {interval['n']}" in said
    assert said.count(", 1 diverged") == 1
    assert "paper 0.6100" in said
    assert "✓ holds" in said
    assert "? undecided" in said
    assert "0.02 (0.01 to 0.03)" in said
    assert "9 seeds" in said
    assert "arm seed diverged at step learning_rate b 9 7 0.01" in said
    # 61 s, 3 runs of 15 steps
    assert "b 3 3 15 1,234 1 min 01 s 20 s 1.36e+03" in said
    (svg,) = [s for s in re.findall(r"<svg.*?</svg>", (directory / "report.html").read_text()) if "b: " in s]
    assert svg.count("<circle") == 2  # a dot for each finite run
    by_seed = list(csv.DictReader((directory / "figures" / "seeds.csv").open()))
    found = groups(read_metrics(directory / "metrics.parquet"))
    values = np.concatenate([headline_values(group, HEADLINE) for group in found])
    np.testing.assert_array_equal([float(row[summary["headline"]]) for row in by_seed], values)
    assert [row["diverged"] for row in by_seed] == ["0", "0", "0", "0", "0", "1"]


def test_many_groups_are_folded_behind_their_ranks(tmp_path, monkeypatch):
    directory = run_of(tmp_path / "run", arms="abc")

    def titles():
        report.write_report(directory, None)
        return re.findall("<h2>(.*?)</h2>", (directory / "report.html").read_text())

    few = titles()
    assert few.index("Results") < few.index("Ranks and cost")
    assert "All 3 groups" not in words(directory)
    monkeypatch.setattr(sections, "MANY", 2)
    assert titles()[:2] == ["Ranks and cost", "Results"]
    assert words(directory).count("All 3 groups") == 2  # results, runs at the end


def test_points_are_drawn_at_their_values():
    line = figures.Line("a", 1, [1, 3], [0.0, 2.0], [0.0, -50.0], [0.0, 50.0], [[0.0, 1.0], [0.0, 3.0]])
    low, high = figures.y_limits([line])
    assert (low, high) == pytest.approx((-0.09, 3.09))
    drawing = svg.panel_svg(figures.Panel("t", "epoch", [line]))
    drawn = dict(re.findall(r'class="(\w+) c1"[^>]*points="([^"]*)"', drawing))
    x, y = np.array([[float(v) for v in p.split(",")] for p in drawn["mean"].split()]).T
    tall = svg.HEIGHT - svg.TOP - svg.BOTTOM
    np.testing.assert_allclose(x, [svg.LEFT, svg.WIDTH - svg.RIGHT])
    np.testing.assert_allclose(y, svg.TOP + tall * (high - np.array([0, 2])) / (high - low), atol=0.06)
    edges = [float(p.split(",")[1]) for p in drawn["band"].split()]
    assert (min(edges), max(edges)) == (svg.TOP, svg.TOP + tall)  # cut off where the runs end
    assert drawing.count('class="seed') == 2


def test_a_grid_of_arms_and_numbers_has_a_panel_for_each_number(tmp_path):
    metrics = Metrics("quickstart", [RATE])
    for rate in (0.1, 0.2):
        for arm in "abcde":
            fill(metrics, arm, rate=rate)
    found = groups(metrics.table)
    facets = run_figures.facets(found)
    assert [(name, [group.arm for group in facet]) for name, facet in facets] == [
        ("learning_rate=0.1", list("abcde")), ("learning_rate=0.2", list("abcde")),
    ]  # fmt: skip
    lines = run_figures.curve_lines(facets[1][1][3:], "train", "loss", [3, 4])
    assert [(line.label, line.style, line.published) for line in lines] == [
        ("d", 3, False), ("e", 4, False),
    ]  # fmt: skip
    assert [line.x for line in lines] == [[1, 2, 3], [1, 2, 3]]
    figure = run_figures.loss_curves(found, "t")
    assert [panel.title for panel in figure.panels[:2]] == [
        "train loss, learning_rate=0.1",
        "train loss, learning_rate=0.2",
    ]
    assert [line.style for line in figure.panels[1].lines] == [0, 1, 2, 3, 4]  # an arm looks the same in every panel
    assert figure.panels[0].y_limits == figure.panels[1].y_limits
    assert len(run_figures.facets(found[:4])) == 1


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-0.013, 0.41), (1, 1.0001), (3e-6, 9e-5), (0, 12345)])
def test_ticks_are_few_round_and_inside(low, high):
    found = figures.round_ticks(low, high)
    assert 2 <= len(found) <= 7
    assert min(found) >= low - 1e-12
    assert max(found) <= high + 1e-12
    np.testing.assert_allclose(np.diff(found), found[1] - found[0], rtol=1e-6)


CASES = {
    "one seed": ({"seeds": 1}, "One seed: there is no interval", "0.6250 (one run)"),
    "unfinished": ({"complete": False}, "Unfinished:", "a: 3 of"),
    "nothing yet": ({"seeds": 0, "complete": False}, "No results: no run has finished an epoch", "Unfinished"),
}


@pytest.mark.parametrize("name", CASES)
def test_caveats_are_shown(tmp_path, capsys, name):
    options, *said = CASES[name]
    directory = run_of(tmp_path / "run", **options)
    assert main(["report", str(directory)]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert said[0] in out
    for text in said:
        assert text in words(directory)
    assert "nan" not in re.sub("<style>.*?</style>", "", (directory / "report.html").read_text(), flags=re.S).lower()


def test_diverged_runs_alone_have_no_results(tmp_path):
    metrics = Metrics("quickstart", [RATE])
    metrics.add("a", np.array([0, 1]), hyperparams(2), 1, 5, "train", {DIVERGED_AT: np.array([0, 2])})
    directory = directory_of(tmp_path / "run", metrics)
    report.write_report(directory)
    said = words(directory)
    assert "Every run of a diverged" in said
    assert "No run has a finite value" in said
    assert "±" not in said.replace("Mean ±", "")


def test_a_run_without_results_names_resume(tmp_path, capsys):
    directory = run_of(tmp_path / "run")
    for name in ("summary.json", "metrics.parquet"):
        (directory / name).unlink()
    assert main(["report", str(directory)]) == 2
    err = capsys.readouterr().err
    assert "stopped before the end of an epoch" in err
    assert err.count("\n") == 1


# several runs


@pytest.mark.slow
def test_comparable_runs_share_tables_and_others_do_not(tmp_path, capsys):
    first, second = run_of(tmp_path / "one"), run_of(tmp_path / "two", rate=0.5, diverged=2)
    other = run_of(tmp_path / "three", data="mnist")
    out = tmp_path / "out"
    assert main(["report", *map(str, (first, second, other, second / ".." / "one")), "--out", str(out)]) == 0
    text = capsys.readouterr().out
    assert "comparison of 3 runs" in text  # the repeated directory counts once
    assert "Not comparable with the runs above: different data (mnist mnist012; above: digits digits01)." in text
    said = words(out)
    assert "two: b" in said
    assert "run arm learning_rate" in said
    assert len(shown(out).all("h1")) == 1
    ids = [attributes["id"] for attributes in shown(out).all("input")]
    assert len(set(ids)) == len(ids) == 4
    for name in ("loss_curves", "seeds", "loss_curves_2", "seeds_2"):
        assert (out / "figures" / f"{name}.png").exists()
        assert (out / "figures" / f"{name}.csv").exists()
    arms = {row["arm"] for row in csv.DictReader((out / "figures" / "seeds.csv").open())}
    assert arms == {"one: a", "one: b", "two: a", "two: b"}
    for directory in (first, second, other):
        assert (directory / "report.html").exists()


def test_runs_of_unknown_data_or_of_one_name_are_not_pooled(tmp_path):
    (tmp_path / "x").mkdir(), (tmp_path / "y").mkdir()
    runs = []
    for folder in "xy":
        directory = run_of(tmp_path / folder / "run")
        files.write_json(directory / "env.json", {})
        runs.append(compare.read(directory, report.read_results(directory)))
    assert compare.names(runs) == ["x/run", "y/run"]
    assert len(compare.comparable(runs)) == 2


def test_a_comparison_is_not_written_over_a_run(tmp_path, capsys):
    first, second = run_of(tmp_path / "one"), run_of(tmp_path / "two")
    assert main(["report", str(first), "--out", str(second)]) == 2
    assert "--out" in capsys.readouterr().err
    assert not (first / "report.html").exists()


# exports


@pytest.mark.parametrize("several", [False, True])
def test_exports_are_unrounded(tmp_path, capsys, several):
    directories = [run_of(tmp_path / "one", diverged=2), run_of(tmp_path / "two", data="mnist")][: 1 + several]
    before = sorted(tmp_path.rglob("*"))
    found = {}
    for kind in tables.EXPORTS:
        assert main(["report", *map(str, directories), "--export", kind]) == 0
        out, err = capsys.readouterr()
        found[kind] = out
        assert err == ""
    assert sorted(tmp_path.rglob("*")) == before
    rows = json.loads(found["json"])
    wanted = [row for directory in directories for row in report.read_summary(directory)["results"]]
    assert [row["arm"] for row in rows] == [row["arm"] for row in wanted]
    assert [row.get("run") for row in rows] == (["one", "one", "two", "two"] if several else [None, None])
    for text, exact, row in zip(csv.DictReader(io.StringIO(found["csv"])), rows, wanted, strict=True):
        for name, interval in row["metrics"].items():
            assert exact[name] == float(text[name]) == interval["mean"]
            assert exact[f"{name}_low"] == float(text[f"{name}_low"]) == interval["low"]
            assert int(text[f"{name}_n"]) == interval["n"]
    assert found["latex"].count(r"\begin{tabular}") == found["latex"].count(r"\end{tabular}") == len(directories)


def test_latex_escapes_what_it_must():
    text = tables.latex(tables.Table(["a_b", "c"], [["100 %", "1 ± 2"], ["\\x&{~}", "#$^"]]))
    assert text.splitlines() == [
        r"\begin{tabular}{lr}", r"a\_b & c \\", r"\hline", r"100 \% & 1 $\pm$ 2 \\",
        r"\textbackslash{}x\&\{\textasciitilde{}\} & \#\$\textasciicircum{} \\", r"\end{tabular}",
    ]  # fmt: skip


def test_an_unknown_format_is_refused(tmp_path, capsys):
    assert main(["report", str(run_of(tmp_path / "run")), "--export", "cvs"]) == 2
    assert "did you mean 'csv'" in capsys.readouterr().err


def test_an_older_run_among_others_is_named_and_nothing_is_written(tmp_path, capsys):
    first, second = run_of(tmp_path / "one"), run_of(tmp_path / "two")
    text = (second / "config.json").read_text()
    (second / "config.json").write_text(re.sub(r'"format": \d+', '"format": 2', text))
    assert main(["report", str(first), str(second)]) == 2
    assert capsys.readouterr().err.startswith(f"error: {second}: config.json: format 2 was written by another version")
    assert not (first / "report.html").exists()


def test_small_means_keep_their_digits():
    assert tables.interval_text({"mean": 9.5627e-5, "low": 7.7006e-5}) == "0.0000956 ± 0.0000186"
    assert tables.interval_text({"mean": 0.5, "low": None}) == "0.5000 (one run)"


# a browser

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PROBE = """<iframe width={width} height=900 srcdoc="{page}"></iframe><script>
onload = () => {{ const d = frames[0].document, box = d.querySelector(".single"), line = d.querySelector(".seed"),
  look = () => frames[0].getComputedStyle(line).display; const before = look(); box.focus();
  const focused = d.activeElement === box; box.click();
  const table = [...d.querySelectorAll("table")].find(each => each.tBodies[0].rows.length > 1);
  const firsts = () => [...table.tBodies[0].rows].map(row => row.cells[0].textContent.trim());
  const ordered = () => String(firsts()) === String([...firsts()].sort());
  table.tHead.rows[0].cells[0].click(); const up = ordered();
  table.tHead.rows[0].cells[0].click(); const down = String(firsts().reverse()) === String([...firsts()].sort());
  document.title = [up, down, d.documentElement.scrollWidth <= d.documentElement.clientWidth,
    d.documentElement.clientWidth > 300, before, look(), focused].join(" "); }}</script>"""


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")
@pytest.mark.parametrize("width", [1280, 390])
def test_in_a_browser_nothing_overflows_and_single_runs_are_shown_on_demand(tmp_path, width):
    directory = run_of(tmp_path / "run", diverged=2)
    metrics = Metrics("quickstart", [RATE])
    for arm in ("a", "an_arm_whose_name_is_as_long_as_the_combinators_make_them(bidirectional(cerebral(gru)))"):
        fill(metrics, arm)
    metrics.write(directory / "metrics.parquet")
    document = summarize(metrics.table, TASK, ARMS, experiment="quickstart", complete=False)
    files.write_json(directory / "summary.json", document)
    report.write_report(directory, None, (), VERDICTS)
    text = (directory / "report.html").read_text().replace("<details>", "<details open>")
    probe = tmp_path / "probe.html"
    probe.write_text(PROBE.format(width=width, page=html.escape(text)))
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom"]
    done = subprocess.run(
        [str(CHROMIUM), *options, f"--window-size={width + 100},1000", probe.as_uri()],
        capture_output=True, text=True, timeout=120, check=True, env={**os.environ, "HOME": str(tmp_path)},
    )  # fmt: skip
    assert re.findall(r"<title>(.*?)</title>", done.stdout)[-1] == "true true true true none inline true"


def test_verdicts_of_any_kind_are_shown():
    verdict = VERDICTS[0]._replace(published=0.91234567, measured=None, effect=float("nan"), n=0, outcome="new")
    (row,) = page.claim_table([verdict]).rows
    assert row == ["new", "first: a < b & so on", "0.9123", "", " (0.01 to 0.03)", "0", ""]
    with pytest.raises(InputError, match="--export"):
        tables.export("xml", [], [])
