"""One page over all published runs: every claim of every study with its verdict, its evidence and its cost."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from rnnlab.claims import Claim, Verdict, family
from rnnlab.report import html
from rnnlab.report.tables import Table

NOT_RUN = "no published run in this setting"
OUTCOMES = ("holds", "fails", "undecided", "not run")


class Entry(NamedTuple):
    """A claim, and its verdict by one published run; without one, no published run judged it, and another is needed."""

    study: str
    claim: Claim
    record: str = ""
    verdict: Verdict | None = None
    hours: float = 0.0  # of the whole run, on the devices that its env.json names
    needed: str = NOT_RUN


def entries(
    claims: Mapping[str, Sequence[Claim]], judged: Mapping[str, tuple[str, Sequence[Verdict], float]],
    needed: Callable[[str, Claim], str] = lambda study, claim: "",
) -> list[Entry]:  # fmt: skip
    """All ``claims`` by study; ``judged`` has, by record, the study, its verdicts and hours.

    ``needed`` says which run a claim still needs, "" if nobody knows. Of several records that judged a claim, that of
    the largest `weight` counts.
    """
    found = []
    for study, declared in claims.items():
        for claim in declared:
            mine = [
                (record, verdict, hours)
                for record, (of, verdicts, hours) in judged.items() if of == study
                for verdict in verdicts if verdict.name == claim.name and verdict.n
            ]  # fmt: skip
            mine.sort(key=lambda one: weight(one[1].outcome, one[1].n))
            needs = needed(study, claim) or NOT_RUN
            found.append(Entry(study, claim, *mine[-1]) if mine else Entry(study, claim, needed=needs))
    return found


def weight(outcome: str, n: int) -> tuple[bool, int]:
    """What a verdict counts beside others on the same claim: first that it is a decision, then its seeds."""
    return outcome != "undecided", n


def outcome(entry: Entry) -> str:
    """One of `OUTCOMES`."""
    return "not run" if entry.verdict is None else entry.verdict.outcome


def sentence(found: Sequence[Entry], growing: Sequence[str] = ()) -> str:
    """How many claims hold, fail, are undecided, and were not run. ``growing``: records of which seeds are missing.

    Judged after every part, a claim has more than one chance of a wrong verdict; so theirs are called interim.
    """
    count = Counter(map(outcome, found))
    return (
        f"Of {len(found)} claims {count['holds']} hold, {count['fails']} fail, {count['undecided']} are undecided, and "
        f"{count['not run']} have {NOT_RUN}."
    ) + (f" Interim, as seeds are missing: {', '.join(growing)}." if growing else "")


def by_study(found: Sequence[Entry]) -> Table:
    """A row for each study: how many of its claims have which outcome."""
    counts: dict[str, Counter[str]] = {}
    for entry in found:
        counts.setdefault(entry.study, Counter())[outcome(entry)] += 1
    return Table(["study", *OUTCOMES], [[study, *(str(of[name]) for name in OUTCOMES)] for study, of in counts.items()])


def table(found: Sequence[Entry]) -> Table:
    """A row for each claim."""
    header = ["outcome", "claim", "study", "paper's number", "effect (90 % CI)", "n", "to decide", "hours", "run"]
    rows = []
    for entry in found:
        verdict = entry.verdict
        shown = html.claim_table([verdict]).rows[0] if verdict else ["not run", "", "", "", "", "", entry.needed]
        name = f"{entry.claim.name}: {entry.claim.sentence}"
        hours = f"{entry.hours:.2g}" if verdict else ""
        rows.append([shown[0], name, entry.study, str(entry.claim.published), *shown[4:], hours, entry.record])
    return Table(header, rows)


def rows(found: Sequence[Entry]) -> list[dict[str, Any]]:
    """The verdicts as data, a row for each claim, unrounded."""
    none = Verdict("", "", "", "not run", "", float("nan"), float("nan"), float("nan"), 0, "")
    kept = ("outcome", "measured", "effect", "low", "high", "n", "to_decide")
    return [
        {"study": entry.study, "claim": entry.claim.name, "sentence": entry.claim.sentence,
         "published": entry.claim.published, "source": entry.claim.source, "record": entry.record,
         "hours": entry.hours}
        | {name: getattr(entry.verdict or none._replace(to_decide=entry.needed), name) for name in kept}
        for entry in found
    ]  # fmt: skip


def _against(entry: Entry, records: Mapping[str, str]) -> str:
    """A verdict that contradicts a paper: in what setting, how large and how sure."""
    assert entry.verdict is not None
    words = f"Measured (90 % CI): {entry.verdict.measured}. Setting: {records[entry.record]}."
    return html.paragraph(words, begin=f"✗ {entry.claim.name}: {entry.claim.sentence}")


def page(
    found: Sequence[Entry], records: Mapping[str, str], pictures: Mapping[str, str], growing: Sequence[str] = ()
) -> str:
    """The page. ``records``: a sentence for each, whose page lies in its folder; ``pictures``: SVG by title.

    ``growing``: as of `sentence`.
    """
    by_verdict = sorted(found, key=lambda entry: OUTCOMES.index(outcome(entry)))
    pages = {name: f"{name}/report.html" for name in records}
    runs = "".join(
        f'<li><a href="{html.escape(pages[name])}">{html.escape(name)}</a>: {html.escape(words)}</li>'
        for name, words in records.items()
    )
    against = [_against(entry, records) for entry in found if outcome(entry) == "fails"]
    body = [
        html.paragraph(sentence(found, growing)), html.table(by_study(found), "claims by study"),
        html.paragraph(family([entry.verdict for entry in found if entry.verdict is not None])),
        html.heading("What the papers say, and fails") if against else "", *against,
        *(html.heading(title) + svg for title, svg in pictures.items()),
        html.heading("Every claim"), html.table(table(by_verdict), "every claim", words=True, links=pages),
        html.heading("The runs"), f"<ul>{runs}</ul>",
    ]  # fmt: skip
    return html.page("rnnlab: what was found", "".join(body))
