"""One self-contained HTML page: no script, no font, no address. Dark or light as the reader has it; prints."""

import base64
import json
import shlex
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from rnnlab.report.tables import Table

STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; --faint: #8886;
  --c0: #0069a8; --c1: #c44e00; --c2: #00805c; --c3: #a83a80; --c4: #806000; --c5: #6a45c0; --c6: #2b8aa8; --c7: #444; }
@media (prefers-color-scheme: dark) { :root { --c0: #62b8f0; --c1: #ff9a57; --c2: #3fd0a0; --c3: #f09ccb; --c4: #e2c043;
  --c5: #b9a2ff; --c6: #7fd4ee; --c7: #ccc; } }
body { max-width: 70rem; margin: 2rem auto; padding: 0 1rem; overflow-wrap: anywhere; }
h1, h2, h3 { line-height: 1.25; } h2 { margin-top: 2.2rem; border-bottom: 1px solid var(--faint); }
.scroll { overflow-x: auto; }
.scroll:focus-visible, input:focus-visible, summary:focus-visible { outline: 3px solid var(--c0); }
table { border-collapse: collapse; overflow-wrap: normal; }
th, td { padding: .25rem .8rem; text-align: right; border-bottom: 1px solid var(--faint); vertical-align: bottom; }
td { white-space: nowrap; } th { min-width: 3rem; }
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
""" + "".join(f".c{i} {{ stroke: var(--c{i}); fill: var(--c{i}); }} " for i in range(8)) + """
.mean, .seed { fill: none; } .band { stroke: none; }
@media print { :root { color-scheme: light; font-size: 11px; --c0: #0069a8; --c1: #c44e00; --c2: #00805c; --c3: #a83a80;
  --c4: #806000; --c5: #6a45c0; --c6: #2b8aa8; --c7: #444; } body { margin: 0; max-width: none; }
  details::details-content { content-visibility: visible; display: block; height: auto; }
  .scroll { overflow: visible; } th, td { padding: .15rem .4rem; } td { white-space: normal; }
  h2, h3 { break-after: avoid; } tr, .panels svg { break-inside: avoid; } label, .single { display: none; } }
"""  # fmt: skip


def page(title: str, body: str) -> str:
    """The whole document around ``body`` (HTML)."""
    title = escape(title)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><style>{STYLE}</style></head><body>
<h1>{title}</h1>
{body}
</body></html>
"""


def table(shown: Table, name: str, words: bool = False) -> str:
    """A table that scrolls by itself where it is too wide, by keyboard too. ``words``: cells of text, which wrap."""
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in shown.header)
    names = [f' data-name="{escape(cell)}"' if words else "" for cell in shown.header]
    body = "".join(
        "<tr>" + "".join(f"<td{name}>{escape(cell)}</td>" for name, cell in zip(names, row, strict=True)) + "</tr>"
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


def paragraph(words: str, note: bool = False) -> str:
    """A paragraph; ``note``: one that must not be missed."""
    return f'<p class="note"><strong>{escape(words)}</strong></p>' if note else f"<p>{escape(words)}</p>"


def details(words: str, inside: str) -> str:
    """What is shown on demand, and always in print."""
    return f"<details><summary>{escape(words)}</summary>{inside}</details>"


def preformatted(text: str) -> str:
    """Text as it is."""
    return f"<pre>{escape(text)}</pre>"


def panels(drawn: Sequence[str], legend: str, seeds: str = "") -> str:
    """Panels side by side where there is room. ``seeds``, an id: a checkbox shows single runs in place of bands."""
    switch = ""
    if seeds:
        switch = (
            f'<input type="checkbox" class="single" id="{seeds}"> '
            f'<label for="{seeds}">every seed a line, in place of the bands</label>'
        )
    return f'<div>{switch}<figure class="panels">{"".join(drawn)}</figure>{legend}</div>'


def images(pictures: Mapping[str, bytes]) -> str:
    """PNGs by what they show, held by the page itself."""
    return "\n".join(
        f'<img alt="{escape(words)}" src="data:image/png;base64,{base64.b64encode(picture).decode()}">'
        for words, picture in pictures.items()
    )


OUTCOMES = {"holds": "✓ holds", "fails": "✗ fails", "undecided": "? undecided"}


def claims(verdicts: Sequence[Any], level: int = 2) -> str:
    """A row for each verdict, its outcome in words; "" without any."""
    if not verdicts:
        return ""
    return heading("Claims", level) + table(claim_table(verdicts), "claims of the paper", words=True)


def claim_table(verdicts: Sequence[Any]) -> Table:
    """Outcome, claim, what was published, what was measured, the effect with its interval, n, what would settle it."""
    header = ["outcome", "claim", "published", "measured", "effect", "n", "what would settle it"]
    rows = []
    for verdict in verdicts:
        effect = number(verdict.effect)
        if number(verdict.low) and number(verdict.high):
            effect += f" ({number(verdict.low)} to {number(verdict.high)})"
        outcome = OUTCOMES.get(verdict.outcome, str(verdict.outcome))
        said = f"{verdict.name}: {verdict.sentence}"
        cells = [number(verdict.published), number(verdict.measured), effect, number(verdict.n)]
        rows.append([outcome, said, *cells, number(verdict.to_decide)])
    return Table(header, rows)


def number(value: Any) -> str:
    """A number as people write it, words as they are, nothing for None and NaN."""
    if value is None or value != value:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def origin(environment: Any, config: str) -> str:
    """The exact command, what it ran on, and on demand all that was recorded of either."""
    known = environment if isinstance(environment, dict) else {}
    command = known.get("command")
    said = paragraph("The command was not recorded: the configuration below is what ran.")
    if isinstance(command, list):
        said = preformatted(shlex.join(map(str, command)))
    facts = [f"{name} {known[name]}" for name in ("python", "git") if known.get(name)]
    if isinstance(packages := known.get("packages"), dict):
        facts[1:1] = [f"{name} {version}" for name, version in packages.items() if version]
    if isinstance(devices := known.get("devices"), list):
        facts += [f"{devices.count(kind)} x {kind}" for kind in dict.fromkeys(devices)]
    return (
        said
        + (paragraph(", ".join(facts)) if facts else "")
        + details("Configuration", preformatted(config))
        + details("Environment", preformatted(json.dumps(environment, indent=2)))
    )
