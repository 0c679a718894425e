"""Records of runs: what is kept is enough for every page and verdict, and says no folder of a machine."""

import csv
import json
import math
import re

import numpy as np
import pyarrow as pa
import pytest
from helpers.groups import group

from rnnlab.claims import Claim, Verdict
from rnnlab.cli import published, report
from rnnlab.cli.main import main
from rnnlab.cli.run import recorded
from rnnlab.cli.wanted import needed, wanted
from rnnlab.core.errors import InputError
from rnnlab.report import overview
from rnnlab.report.spread import spread_table
from rnnlab.runs import agreement, record
from rnnlab.stats.summary import Headline
from rnnlab.storage import files
from rnnlab.storage.metrics import Metrics, read_metrics

RECORDS = record.records(published.folder())


# what is committed


def test_records_are_small():
    sizes = {name: sum(file.stat().st_size for file in path.rglob("*")) for name, path in RECORDS.items()}
    assert RECORDS
    assert max(sizes.values()) <= record.LIMIT_BYTES
    assert sum(sizes.values()) <= 12_000_000


@pytest.mark.parametrize("name", RECORDS)
def test_the_code_still_makes_the_verdicts_of_a_record(name, tmp_path):
    record.restore(RECORDS[name], tmp_path)
    config = recorded(tmp_path)
    made = report.published(tmp_path, config)["verdicts"]
    kept = files.read_json(RECORDS[name] / "summary.json").get("claims", [])
    plain = json.loads(json.dumps([verdict._asdict() for verdict in made]).replace("NaN", "null"))
    assert [(v["name"], v["outcome"], v["n"]) for v in plain] == [(v["name"], v["outcome"], v["n"]) for v in kept]
    for new, old in zip(plain, kept, strict=True):
        for field in ("effect", "low", "high"):
            assert new[field] == old[field] or math.isclose(new[field], old[field], rel_tol=1e-6), (new, old)
    assert record.summary_of(RECORDS[name])["results"]
    for file in ("env.json", "config.json", "summary.json"):
        text = (RECORDS[name] / file).read_text()
        assert not any(f'"/{place}/' in text for place in ("home", "root", "tmp", "work", "Users"))


def test_every_claim_is_judged_by_a_record_or_the_run_that_it_needs_is_named():
    runs = wanted(published.folder())
    judged = {
        (recorded(path).experiment, verdict["name"])
        for path in RECORDS.values()
        for verdict in files.read_json(path / "summary.json").get("claims", [])
        if verdict["n"]
    }
    missing = [
        (study, claim) for study, claims in published.declared().items() for claim in claims
        if (study, claim.name) not in judged
    ]  # fmt: skip
    assert missing
    for study, claim in missing:
        assert re.fullmatch(
            rf"needs run {study} .* \(about [\d.,]+ hours on two CPU cores\)", needed(study, claim, runs)
        )
    assert needed("mnist_slim", missing[0][1], runs) == ""  # arms of another study
    assert wanted(published.folder().parent) == []


@pytest.mark.slow
def test_all_pages_are_made_from_the_records(tmp_path, capsys):
    assert main(["report", "--published", "--out", str(tmp_path / "out")]) == 0
    claims = [claim for declared in published.declared().values() for claim in declared]
    assert f"Of {len(claims)} claims" in capsys.readouterr().out
    with (tmp_path / "out" / "verdicts.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["claim"] for row in rows] == [claim.name for claim in claims]
    page = (tmp_path / "out" / "index.html").read_text()
    for name in RECORDS:
        assert f'href="{name}/report.html"' in page
        assert (tmp_path / "out" / name / "report.html").stat().st_size > 10_000
    assert main(["report", "--published", "--out", str(tmp_path / "out")]) == 2  # not empty any more


# made, and made again


# two runs or more for each of four devices: compiled in haste, a run alone on a device rounds otherwise
SMALL = ["--quick", "--arms", "lstm", "--epochs", "3", "--set", "learning_rate=0.01,0.02,0.03,0.04"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    directory = tmp_path_factory.mktemp("finished") / "run"
    assert main(["run", "quickstart", *SMALL, "--seeds", "6", "--out", str(directory)]) == 0
    return directory


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    monkeypatch.setattr(published, "folder", lambda: tmp_path / "results")
    return tmp_path / "results"


def test_a_record_is_the_run_without_what_follows_from_it(finished, shelf, tmp_path):
    assert main(["publish", str(finished)]) == 0
    kept = shelf / "quickstart"
    assert not (kept / "checkpoints").exists()
    assert str(finished) not in (kept / "env.json").read_text()
    assert record.summary_of(kept) == files.read_json(finished / "summary.json")
    record.restore(kept, tmp_path / "again")
    assert read_metrics(tmp_path / "again" / "metrics.parquet") == read_metrics(finished / "metrics.parquet")
    assert main(["publish", str(finished)]) == 0  # the same command replaces it
    assert main(["publish", str(finished), "--name", "a/b"]) == 2
    assert [path.name for path in shelf.iterdir()] == ["quickstart"]


@pytest.mark.slow
def test_parts_join_into_the_record_of_one_run(finished, shelf, tmp_path, capsys, monkeypatch):
    def says(name, *command):
        capsys.readouterr()
        assert main(["publish", str(tmp_path / name), *command]) == 0
        return capsys.readouterr().out

    monkeypatch.setattr("sys.orig_argv", ["rnnlab", "run", "--seeds=2"])
    assert main(["run", "quickstart", *SMALL, "--seeds", "2", "--out", str(tmp_path / "first")]) == 0
    monkeypatch.setattr("sys.orig_argv", ["rnnlab", "run", "--seeds=6"])
    for index in "23":
        part = ["--seeds", "6", "--part", f"{index}/3", "--out", str(tmp_path / f"part{index}")]
        assert main(["run", "quickstart", *SMALL, *part]) == 0
    assert says("part3").endswith("part 3 of 3 of a sweep of 6 seeds\n")
    assert says("first").endswith(" bytes\n")  # in its place
    assert says("part3", "--join").endswith("without the seeds 2, 3\n")
    assert published.growing() == ["quickstart"]
    assert says("part2", "--join").endswith(" bytes\n")
    assert published.growing() == []
    kept, whole = shelf / "quickstart", files.read_json(finished / "summary.json")
    assert read_metrics(kept / "metrics.parquet") == read_metrics(finished / "metrics.parquet")
    assert (kept / "config.json").read_bytes() == (finished / "config.json").read_bytes()
    assert record.summary_of(kept)["results"] == whole["results"]
    environment = files.read_json(kept / "env.json")
    assert [part["directory"] for part in environment["parts"]] == ["quickstart", "part3", "part2"]
    assert environment["command"][-1] == "--seeds=6"
    assert str(tmp_path) not in (kept / "env.json").read_text()
    assert main(["publish", str(tmp_path / "part2"), "--join"]) == 2
    assert re.fullmatch(r"error: seed 2 is in \S+quickstart and in \S+part2; accepted: once\n", capsys.readouterr().err)
    assert read_metrics(kept / "metrics.parquet") == read_metrics(finished / "metrics.parquet")


def test_what_cannot_be_a_record_is_refused_in_one_line(finished, shelf, tmp_path, capsys, monkeypatch):
    unfinished = tmp_path / "unfinished"
    unfinished.mkdir()
    for path in finished.glob("*.*"):
        (unfinished / path.name).write_bytes(path.read_bytes())
    summary = files.read_json(unfinished / "summary.json")
    files.write_json(unfinished / "summary.json", {**summary, "complete": False})
    assert main(["publish", str(unfinished)]) == 2
    assert "unfinished" in capsys.readouterr().err
    monkeypatch.setattr(record, "LIMIT_BYTES", 1000)
    assert main(["publish", str(finished)]) == 2
    assert "accepted: up to 1,000" in capsys.readouterr().err
    assert not list(shelf.iterdir())
    assert main(["report", "--published"]) == 2
    assert main(["report"]) == 2
    assert main(["report", str(finished), "--published"]) == 2
    assert main(["reproduce", "C99"]) == 2
    with pytest.raises(InputError, match=r"no config\.json"):
        record.restore(shelf, tmp_path / "nothing")


@pytest.mark.slow
@pytest.mark.parametrize("quick", [[], ["--quick-check"]])
def test_a_run_made_again_equals_its_record_and_another_one_does_not(finished, shelf, tmp_path, capsys, quick):
    assert main(["publish", str(finished)]) == 0
    assert main(["reproduce", "quickstart", *quick, "--out", str(tmp_path / "one")]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("quickstart again"))
    assert "0 differ" in line
    table = read_metrics(shelf / "quickstart" / "metrics.parquet")
    shifted = Metrics("quickstart", [name for name in table.schema.names if name in ("learning_rate", "clip_norm")])
    values = table["value"].to_numpy() + 1.0
    shifted._built = table.set_column(
        table.schema.get_field_index("value"), table.schema.field("value"), pa.array(values)
    )
    shifted.write(shelf / "quickstart" / "metrics.parquet")
    assert main(["reproduce", "quickstart", *quick, "--out", str(tmp_path / "two")]) == 1
    assert "recorded" in capsys.readouterr().err


def summary(*means, half=0.1, n=5):
    intervals = [{"loss": {"mean": mean, "low": mean - half, "high": mean + half, "n": n}} for mean in means]
    rows = [{"arm": f"a{place}", "runs": n, "rate": 0.1, "metrics": one} for place, one in enumerate(intervals)]
    return {"results": rows}


def test_means_agree_where_the_interval_of_their_difference_holds_zero():
    found = agreement.of_summaries(summary(1.0, 2.1, 3.2), summary(1.0, 2.0, 3.0))
    assert (found.equal, found.agree) == (1, 1)
    assert found.differ == ["a2 rate=0.1 loss: 3.2, recorded 3 ± 0.14"]
    assert agreement.of_summaries(summary(1.0), summary(1.0, 2.0)).differ == ["a1 rate=0.1 loss: missing"]


def test_single_values_agree_within_the_spread_of_all_seeds():
    def metrics(values, seeds):
        table = Metrics("probe", [])
        table.add("a", np.array(seeds), {}, 1, 10, "test", {"loss": np.array(values)})
        return table.table

    kept = metrics([1.0, 1.1, 0.9, 1.05, 0.95], range(5))
    found = agreement.of_metrics(metrics([1.0, 1.2, 9.0], [0, 1, 2]), kept)
    assert (found.equal, found.agree, len(found.differ)) == (1, 1, 1)
    assert found.differ[0].endswith("seed 2: 9, recorded 0.9")
    assert agreement.of_metrics(metrics([1.0], [7]), kept) == (0, 0, [])  # a seed that the record does not have


# the page over all


def verdict(name, outcome, n):
    return Verdict(name, "s", "p", outcome, "measured", 0.5, 0.4, 0.6, n, "")


def test_the_deciding_run_counts_then_the_one_with_more_seeds():
    claims = {"study": [Claim(name, f"sentence {name}", "p", [], lambda _: None) for name in "ABC"], "other": []}
    judged = {
        "one": ("study", [verdict("A", "undecided", 50), verdict("B", "holds", 4)], 1.0),
        "two": ("study", [verdict("A", "fails", 4), verdict("B", "holds", 8), verdict("C", "undecided", 0)], 2.0),
        "three": ("other", [verdict("A", "holds", 99)], 3.0),
    }
    found = overview.entries(claims, judged, lambda study, claim: f"needs {study} {claim.name}")
    assert [(entry.record, overview.outcome(entry)) for entry in found] == [
        ("two", "fails"),
        ("two", "holds"),
        ("", "not run"),
    ]
    assert overview.sentence(found) == (
        "Of 3 claims 1 hold, 1 fail, 0 are undecided, and 1 have no published run in this setting."
    )
    assert overview.sentence(found, ["two"]).endswith("in this setting. Interim, as seeds are missing: two.")
    page = overview.page(found, {"two": "words <two>"}, {"Picture": "<svg/>"})
    assert "<strong>✗ A: sentence A</strong><br>Measured (90 % CI): measured. Setting: words &lt;two&gt;." in page
    assert page.index("sentence B") > page.index("✗ A:")
    assert '<a href="two/report.html">two</a></td>' in page
    assert overview.by_study(found).rows == [["study", "1", "1", "0", "1"]]
    assert [row["effect"] for row in overview.rows(found)][:2] == [0.5, 0.5]
    assert [row["to_decide"] for row in overview.rows(found)] == ["", "", "needs study C"]


def test_a_claim_is_reproduced_by_the_run_whose_verdict_is_shown(tmp_path):
    kept = {"a": ("undecided", 50), "b": ("holds", 8), "c": ("fails", 4), "d": ("holds", 0)}
    for name, (outcome, n) in kept.items():
        files.write_json(tmp_path / name / "summary.json", {"claims": [verdict("A", outcome, n)._asdict()]})
    found = {name: tmp_path / name for name in kept}
    assert [published.record_of(name, found) for name in ("A", "a")] == ["b", "a"]


def test_the_spread_is_the_standard_deviation_by_what_varied():
    draw = np.random.default_rng(0)
    values = {source: draw.normal(0, scale, (200, 2)) for source, scale in (("init", 2.0), ("split", 1.0))}
    headline = Headline("test", "loss", "last", False)
    runs = {source: [group("a", {("test", "loss"): v, ("validation", "loss"): v})] for source, v in values.items()}
    table = spread_table(runs, headline)
    assert table.header == ["what the seeds vary", "a"]
    assert [row[0] for row in table.rows] == ["initial values", "split of the data"]
    for row, source in zip(table.rows, ("init", "split"), strict=True):
        assert row[1].startswith(f"{values[source][:, -1].std(ddof=1):.2g} (")
        assert row[1].endswith(", n = 200)")
