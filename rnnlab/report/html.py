"""One self-contained HTML page: nothing from outside. Dark or light by the reader's settings; printable.

The only script sorts a table by the column whose head is clicked; without it everything else is the same.
"""

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from rnnlab.claims import Verdict, family
from rnnlab.report.figures import COLORS
from rnnlab.report.tables import Table

LIGHT = " ".join(f"--c{index}: {color};" for index, color in enumerate(COLORS))

STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; --faint: #8886;
  """ + LIGHT + """ }
@media (prefers-color-scheme: dark) { :root { --c0: #62b8f0; --c1: #ff9a57; --c2: #3fd0a0; --c3: #f09ccb; --c4: #e2c043;
  --c5: #b9a2ff; --c6: #7fd4ee; --c7: #ccc; } }
body { max-width: 70rem; margin: 2rem auto; padding: 0 1rem; overflow-wrap: anywhere; }
h1, h2, h3 { line-height: 1.25; } h2 { margin-top: 2.2rem; border-bottom: 1px solid var(--faint); }
.scroll { overflow-x: auto; }
.scroll:focus-visible, input:focus-visible, summary:focus-visible { outline: 3px solid var(--c0); }
table { border-collapse: collapse; overflow-wrap: normal; }
th, td { padding: .25rem .8rem; text-align: right; border-bottom: 1px solid var(--faint); vertical-align: bottom; }
td { white-space: nowrap; } th { min-width: 3rem; }
thead th { cursor: pointer; } [aria-sort=ascending]::after { content: " ▲"; }
[aria-sort=descending]::after { content: " ▼"; }
th:first-child, td:first-child, .run :is(th, td):nth-child(2), .words :is(th, td) { text-align: left; }
.words td { white-space: normal; vertical-align: top; } .words td:first-child { white-space: nowrap; }
.words td:nth-child(2) { min-width: 14rem; } .words th { min-width: 0; } .words :is(th, td) { padding: .25rem .5rem; }
@media (max-width: 45rem) { .words thead { display: none; } .words :is(tbody, tr, td) { display: block; border: 0; }
  .words tr { border-bottom: 1px solid var(--faint); padding: .4rem 0; } .words td:empty { display: none; }
  .words td:nth-child(n + 3)::before { content: attr(data-name) ": "; font-weight: bold; } }
img { max-width: 100%; background: white; } pre { overflow-x: auto; white-space: pre-wrap; }
summary, label { font-weight: bold; padding: .5rem 0; cursor: pointer; }
.note { border-left: .3rem solid var(--c1); padding-left: .8rem; }
.panels { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 21rem), 1fr)); gap: .5rem; }
.panels { margin: 0; } .panels svg { width: 100%; max-width: 36rem; }
svg { max-width: 100%; } svg text { fill: currentColor; font-size: 12px; }
svg .title { font-weight: bold; font-size: 13px; } .middle, .paper { text-anchor: middle; } .right { text-anchor: end; }
.grid { stroke: var(--faint); } .mean { fill: none; stroke-width: 2; } .interval { stroke-width: 5; opacity: .45; }
.seed { fill: none; stroke-width: .9; opacity: .6; display: none; } .single:checked ~ .panels .seed { display: inline; }
.band { stroke: none; opacity: .16; } .single:checked ~ .panels .band { display: none; } .dot { fill-opacity: .75; }
svg .paper { font-size: 20px; }
.legend { list-style: none; padding: 0; display: flex; flex-wrap: wrap; gap: .1rem 1.2rem; margin: .3rem 0; }
.strips { max-width: 46rem; } .strips svg { width: 100%; display: block; overflow: visible; }
.strip { break-inside: avoid; }
.axis { text-align: center; margin: 0; }
""" + "".join(f".c{i} {{ stroke: var(--c{i}); fill: var(--c{i}); }} " for i in range(len(COLORS))) + """
.mean, .seed { fill: none; } .band { stroke: none; }
@media print { :root { color-scheme: light; font-size: 11px; """ + LIGHT + """ } body { margin: 0; max-width: none; }
  details::details-content { content-visibility: visible; display: block; height: auto; }
  .scroll { overflow: visible; } th, td { padding: .15rem .4rem; } td { white-space: normal; }
  h2, h3, .panels { break-after: avoid; } tr, .panels svg, .legend { break-inside: avoid; }
  label, .single { display: none; } }
"""  # fmt: skip

# Numbers by what they begin with, after all others; a second click turns the order around.
SORT = """
document.addEventListener("click", ({target}) => {
  const head = target.closest("thead th"); if (!head) return;
  const body = head.closest("table").tBodies[0], place = head.cellIndex, up = head.ariaSort !== "ascending";
  const value = row => {
    const text = row.cells[place].textContent.trim(), number = parseFloat(text.replaceAll(",", ""));
    return Number.isFinite(number) ? number : text;
  };
  const compare = (a, b) => typeof a === typeof b ? (a < b ? -1 : a > b ? 1 : 0) : typeof a === "string" ? -1 : 1;
  for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
  head.ariaSort = up ? "ascending" : "descending";
  [...body.rows].sort((a, b) => (up ? 1 : -1) * compare(value(a), value(b))).forEach(row => body.append(row));
});
"""


def page(title: str, body: str) -> str:
    """The whole document around ``body`` (HTML)."""
    title = escape(title)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><style>{STYLE}</style></head><body>
<h1>{title}</h1>
{body}
<script>{SORT}</script></body></html>
"""


def table(shown: Table, name: str, words: bool = False, links: Mapping[str, str] | None = None) -> str:
    """A table that scrolls, also by keyboard, where it is too wide.

    ``words``: text cells, which wrap. ``links``: where the words of the last column lead.
    """
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in shown.header)
    names = [f' data-name="{escape(cell)}"' if words else "" for cell in shown.header]

    def cells(row: Sequence[str]) -> Iterator[str]:
        yield from map(escape, row[:-1])
        there = (links or {}).get(row[-1])
        yield f'<a href="{escape(there)}">{escape(row[-1])}</a>' if there else escape(row[-1])

    body = "".join(
        "<tr>" + "".join(f"<td{name}>{cell}</td>" for name, cell in zip(names, cells(row), strict=True)) + "</tr>"
        for row in shown.rows
    )
    kind = ' class="words"' if words else ' class="run"' if shown.header[:1] == ["run"] else ""
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(name)}"><table{kind}>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def heading(words: str, level: int = 2) -> str:
    """A heading."""
    return f"<h{level}>{escape(words)}</h{level}>"


def paragraph(words: str, note: bool = False, begin: str = "") -> str:
    """A paragraph; ``note``: emphasized; ``begin``: a line before it that is."""
    if note:
        return f'<p class="note"><strong>{escape(words)}</strong></p>'
    return f"<p><strong>{escape(begin)}</strong><br>{escape(words)}</p>" if begin else f"<p>{escape(words)}</p>"


def details(words: str, inside: str) -> str:
    """A folded block, open in print."""
    return f"<details><summary>{escape(words)}</summary>{inside}</details>"


def preformatted(text: str) -> str:
    """Text with its line breaks."""
    return f"<pre>{escape(text)}</pre>"


OUTCOMES = {"holds": "✓ holds", "fails": "✗ fails", "undecided": "? undecided"}


def claims(verdicts: Sequence[Verdict], level: int = 2) -> str:
    """A table with a row for each verdict, how each claim is read, and its comparisons; "" without verdicts."""
    if not verdicts:
        return ""
    rows = [[verdict.name, verdict.reading, part] for verdict in verdicts for part in verdict.parts or [""]]
    read = Table(["claim", "how it is read", "comparison (90 % CI)"], rows)
    return "".join([
        heading("Claims", level), table(claim_table(verdicts), "claims of the paper", words=True),
        paragraph(family(verdicts)), details("Every comparison", table(read, "every comparison", words=True)),
    ])  # fmt: skip


def claim_table(verdicts: Sequence[Verdict]) -> Table:
    """Outcome, claim, published value, measured value, effect with its 90 % CI, n, and what is needed to decide."""
    header = ["outcome", "claim", "published", "measured", "effect (90 % CI)", "n", "to decide"]
    rows = []
    for verdict in verdicts:
        effect = number(verdict.effect)
        if number(verdict.low) and number(verdict.high):
            effect += f" ({number(verdict.low)} to {number(verdict.high)})"
        outcome = OUTCOMES.get(verdict.outcome, str(verdict.outcome))
        claim = f"{verdict.name}: {verdict.sentence}"
        cells = [number(verdict.published), number(verdict.measured), effect, number(verdict.n)]
        rows.append([outcome, claim, *cells, number(verdict.to_decide)])
    return Table(header, rows)


def number(value: Any) -> str:
    """A number with four digits, text unchanged, "" for None and NaN."""
    if value is None or value != value:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def provenance(environment: Any, config: str) -> str:
    """The command and the environment of a run, with the whole configuration and environment folded."""
    recorded = environment if isinstance(environment, dict) else {}
    command = recorded.get("command")
    first = paragraph("The command was not recorded. The configuration below is complete.")
    if isinstance(command, list):
        first = preformatted(shlex.join(map(str, command)))
    facts = [f"{name} {recorded[name]}" for name in ("python", "git") if recorded.get(name)]
    if isinstance(packages := recorded.get("packages"), dict):
        facts[1:1] = [f"{name} {version}" for name, version in packages.items() if version]
    if isinstance(devices := recorded.get("devices"), list):
        facts += [f"{devices.count(kind)} x {kind}" for kind in dict.fromkeys(devices)]
    return (
        first
        + (paragraph(", ".join(facts)) if facts else "")
        + details("Configuration", preformatted(config))
        + details("Environment", preformatted(json.dumps(environment, indent=2)))
    )
