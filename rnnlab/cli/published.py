"""The commands ``publish`` and ``reproduce``, and ``report --published``: runs kept as records in the repository."""

import argparse
import csv
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from rnnlab.cli import report, run, studies
from rnnlab.cli.wanted import needed, wanted
from rnnlab.config.experiment import Config
from rnnlab.core.errors import InputError, unknown
from rnnlab.core.terminal import escaped, listing

QUICK_SEEDS, QUICK_EPOCHS = 2, 2
SHOWN = 20  # differing numbers that are printed


def folder() -> Path:
    """Where the studies keep the records of their runs."""
    return studies.folder() / "results"


def growing() -> list[str]:
    """The records of which seeds are missing."""
    from rnnlab.runs import record
    from rnnlab.runs.merge import missing_note
    from rnnlab.storage import files

    found = record.records(folder()).items()
    return [name for name, path in found if missing_note(files.read_json(path / "env.json"))]


def add_publish(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``publish``."""
    parser.add_argument("directory", type=Path, metavar="DIR", help="a finished run's directory")
    parser.add_argument("--name", metavar="NAME", help="of the record (default: the study's, with its protocol)")
    parser.add_argument("--join", action="store_true", help="add its seeds to those of the record, if there is one")


def add_reproduce(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``reproduce``."""
    parser.add_argument("name", metavar="NAME", help="a published run, or a claim that one of them judged")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="the new run's directory (default: runs/STUDY/date-time)"
    )
    words = f"only {QUICK_SEEDS} seeds and {QUICK_EPOCHS} epochs, compared with the same of the record"
    parser.add_argument("--quick-check", action="store_true", help=words)


def publish(options: argparse.Namespace) -> int:
    """Keep a finished run as a record: what its pages and verdicts are made of, without checkpoints."""
    from rnnlab.runs import record
    from rnnlab.runs.merge import missing_note
    from rnnlab.storage import files

    config = run.recorded(options.directory)
    if not isinstance(config, Config) or config.experiment not in studies.names():
        raise InputError(f"{options.directory}: accepted: a run of a study that `list` shows, which trained")
    report.write_verdicts(options.directory, config)
    study = studies.recorded(config.experiment)
    own = config.protocol if config.protocol != getattr(study.CONFIG, "protocol", None) else None
    name = options.name or "-".join(filter(None, (config.experiment, own)))
    if not name.replace("-", "").replace("_", "").isalnum():
        raise InputError(f"--name: {name!r}; accepted: letters, digits, - and _")
    kept = folder() / name
    if not options.join or not (kept / "config.json").exists():
        size = record.publish(options.directory, kept)
    else:
        with tempfile.TemporaryDirectory() as place:
            joined = Path(place) / name
            _join([kept, options.directory], joined)
            size = record.publish(joined, kept)
    missing = missing_note(files.read_json(kept / "env.json"))
    print(listing([f"record: {kept}, {size:,} bytes", *([missing] if missing else [])]))
    return 0


def _join(parts: Sequence[Path], directory: Path) -> None:
    """The run of a record and another run together, without checkpoints."""
    from rnnlab.runs import merge
    from rnnlab.runs.saved_run import load_run
    from rnnlab.storage import files

    found = [merge.Part(load_run(part), run.recorded(part)) for part in parts]
    for line in merge.merge(found, directory, partial=True, checkpoints=False):
        print(escaped(f"warning: {line}"), file=sys.stderr)
    for bench in (path for part in parts for path in part.glob("bench*/bench.json")):
        files.write_json(directory / bench.parent.name / bench.name, files.read_json(bench))
    report.write_verdicts(directory, run.recorded(directory))


def show_all(options: argparse.Namespace) -> int:
    """Write the page of every record, and one over all of them."""
    from rnnlab.report import overview
    from rnnlab.report.svg import svg
    from rnnlab.report.write import read_summary, write_report
    from rnnlab.runs import record
    from rnnlab.storage import files

    found = record.records(folder())
    if not found:
        raise InputError(f"--published: no records in {folder()}; accepted: after `publish DIR`")
    out = options.out or Path("runs") / "reports" / time.strftime("%Y-%m-%d_%H%M%S")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"--out: {out} is not an empty directory")
    judged, words, pictures = {}, {}, {}
    for name, path in found.items():
        record.restore(path, out / name)
        config = run.recorded(out / name)
        made = report.published(out / name, config)
        write_report(out / name, **made)
        summary = read_summary(out / name)
        hours = sum(arm["seconds"] or 0.0 for arm in summary["arms"].values()) / 3600
        judged[name] = (config.experiment, made["verdicts"], hours)
        words[name] = _sentence(config, hours)
        print(f"{name}: {words[name]}")
        if name == PICTURE:
            pictures[TITLE] = svg(report.results(out / name, config).figures()["probes"], name)
    claims = overview.entries(declared(), judged, partial(needed, runs=wanted(folder())))
    rows = overview.rows(claims)
    with (out / "verdicts.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    interim = growing()
    files.write_whole(out / "index.html", overview.page(claims, words, pictures, interim).encode())
    print(overview.sentence(claims, interim))
    print(listing([f"page: {out / 'index.html'}", f"verdicts: {out / 'verdicts.csv'}"]))
    return 0


PICTURE, TITLE = "cerebral_init-medium", "What separates two paths that start alike, and by how much (cerebral_init)"


def declared() -> dict[str, Sequence[Any]]:
    """The claims of every study, under all of its protocols."""
    found: dict[str, Sequence[Any]] = {}
    for name in studies.trained():
        study = studies.study(name)
        if not hasattr(study, "claims"):
            continue
        configs = [studies.planned(study, protocol) for protocol in getattr(study, "PROTOCOLS", {})] or [study.CONFIG]
        by_name = {claim.name: claim for config in configs for claim in study.claims(config)}
        found[name] = list(by_name.values())
    return found


def _sentence(config: Config, hours: float) -> str:
    from rnnlab.runs.progress import duration

    protocol = f" ({config.protocol})" if config.protocol else ""
    size = f"{len(config.arms)} arms, {len(config.seeds)} seeds, {config.epochs} epochs of {config.data}"
    return f"{config.experiment}{protocol}: {size}, {duration(3600 * hours)}"


def reproduce(options: argparse.Namespace) -> int:
    """Train a published run again and compare it with its record, number by number. Exit code 1 if any differs."""
    from rnnlab.runs import agreement, record
    from rnnlab.storage import files
    from rnnlab.storage.metrics import read_metrics

    found = record.records(folder())
    name = record_of(options.name, found)
    config = run.recorded(found[name])
    if options.quick_check:
        config = replace(config, seeds=config.seeds[:QUICK_SEEDS], epochs=min(QUICK_EPOCHS, config.epochs))
    directory = options.out or run.new_directory(config.experiment)
    code = run.train(config, directory, new=True, options=options)
    if code:
        return code
    if options.quick_check:
        tables = (read_metrics(path / "metrics.parquet") for path in (directory, found[name]))
        result = agreement.of_metrics(*tables)
        how = "within the spread of the record's seeds"
    else:
        result = agreement.of_summaries(files.read_json(directory / "summary.json"), record.summary_of(found[name]))
        how = "within their intervals"
    print(f"\n{name} again: {result.equal + result.agree + len(result.differ):,} numbers: {result.equal:,} equal, "
          f"{result.agree:,} {how}, {len(result.differ):,} differ")  # fmt: skip
    for line in result.differ[:SHOWN]:
        print(escaped(line), file=sys.stderr)
    return 1 if result.differ else 0


def record_of(name: str, found: Mapping[str, Path]) -> str:
    """The record of this name, or the one whose verdict on the claim of this name the page over all shows."""
    from rnnlab.report import overview
    from rnnlab.storage import files

    if name in found:
        return name
    judged: dict[str, list[tuple[bool, int, str]]] = {}
    for record, path in found.items():
        for verdict in files.read_json(path / "summary.json").get("claims", ()):
            if verdict["n"]:
                weight = overview.weight(verdict["outcome"], verdict["n"])
                judged.setdefault(verdict["name"], []).append((*weight, record))
    if name not in judged:
        raise unknown("reproduce", name, [*found, *judged])
    return max(judged[name])[-1]
