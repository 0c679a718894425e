"""Text for a terminal: tables and lists that fit its width, control characters escaped."""

import functools
import os
import re
import shutil
import sys
import textwrap
from collections.abc import Sequence

WIDTH = 160  # columns of a table in a file or a pipe
GAP = 2  # columns between those of a table
PROSE = 30  # least width of a column of sentences

# Control characters but for tab and line feed, line separators, and what reverses the direction of writing.
_CONTROL = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def escaped(text: str) -> str:
    r"""``text`` with its control characters as in Python's literals, as in ``\x1b``. Tabs and line breaks stay."""
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)


def escaped_on_terminal(text: str) -> str:
    """``escaped`` if standard output is a terminal; a file or a pipe gets the text as it is."""
    return escaped(text) if sys.stdout.isatty() else text


def columns() -> int | None:
    """The columns of the terminal; in a file or a pipe None, or the variable COLUMNS if it is less than the usual 80.

    GNU readline, which pytest loads, tells all child processes COLUMNS=80.
    """
    if sys.stdout.isatty():
        return shutil.get_terminal_size((80, 24)).columns
    asked = os.environ.get("COLUMNS", "")
    return int(asked) if asked.isdecimal() and 0 < int(asked) < 80 else None


def entry(name: str, text: str, column: int = 16) -> str:
    """A line of a list: a name in ``column`` columns, and what it is, wrapped to the terminal."""
    line, width = f"{escaped(name):{column}} {escaped(text)}", columns()
    if width is None or len(line) <= width:
        return line
    if width < 60:
        return f"{escaped(name)}\n{wrapped(escaped(text), width, '  ')}"
    return wrapped(line, width, " " * (column + 1), first="")


def listing(items: Sequence[str]) -> str:
    """The items on one line, or a line each where the terminal is narrower than that."""
    line, width = escaped("   ".join(items)), columns()
    return line if width is None or len(line) <= width else escaped("\n".join(items))


def records(header: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> str:
    """A table that is too wide, a field a line: the first field of each row, and below it "name: value"."""
    lines = []
    for row in rows:
        named = zip(header, row, strict=False)  # a row may end early
        for index, (name, value) in enumerate(named):
            lines.append(wrapped(f"{name}: {value}", width, "    " if index else "  ", first="  " if index else ""))
    return "".join(f"{line}\n" for line in lines)


def wrapped(text: str, width: int, indent: str = "", first: str | None = None) -> str:
    """``text`` in lines of at most ``width``, indented; ``first`` is the indent of the first."""
    start = indent if first is None else first
    fill = functools.partial(textwrap.fill, initial_indent=start, subsequent_indent=indent, break_on_hyphens=False)
    return "\n".join(fill(line, width) for line in text.split("\n"))


def terminal_table(
    header: Sequence[str], rows: Sequence[Sequence[str]], *, title: str = "", justify: Sequence[str] | None = None,
    footer: str = "",
) -> str:  # fmt: skip
    """A table that fits the terminal (160 columns in a file or a pipe); "" without rows.

    ``justify`` is "left" or "right" for each column; None: the first one left, the others right. Headers wrap, the last
    column if it is a left one, and right ones if need be; where that is not enough, each field has a line of its own.
    ``footer`` is wrapped text below the table.
    """
    from rich.console import Console
    from rich.table import Table

    if not rows:
        return ""
    sides = list(justify) if justify is not None else ["left", *["right"] * (len(header) - 1)]
    header = [escaped(name) for name in header]
    rows = [[escaped(cell) for cell in row] + [""] * (len(header) - len(row)) for row in rows]
    width = columns() or WIDTH
    footer = f"{wrapped(escaped(footer), width)}\n" if footer else ""
    widths = _column_widths(header, rows, sides, width - GAP * len(header))
    if widths is None:
        above = f"{wrapped(escaped(title), width)}\n" if title else ""
        return above + records(header, rows, width) + footer
    table = Table(box=None, header_style="bold", title=escaped(title) or None, title_justify="left")
    for name, side, least in zip(header, sides, widths, strict=True):
        table.add_column(name, justify="left" if side == "left" else "right", width=least)
    for row in rows:
        table.add_row(*row)
    console = Console(highlight=False, markup=False, width=width)
    with console.capture() as captured:
        console.print(table)
    return "".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()) + footer


def _column_widths(
    header: Sequence[str], rows: Sequence[Sequence[str]], sides: Sequence[str], available: int
) -> list[int] | None:
    """A width for each column, together at most ``available``; None if a word would have to be broken."""
    for whole in (True, False):  # values on one line if possible
        least, most = _limits(header, rows, sides, whole=whole)
        spare, wanted = available - sum(least), sum(most) - sum(least)
        if wanted <= spare:
            return most
        if spare >= 0:
            return [low + (high - low) * spare // wanted for low, high in zip(least, most, strict=True)]
    return None


def _limits(
    header: Sequence[str], rows: Sequence[Sequence[str]], sides: Sequence[str], *, whole: bool
) -> tuple[list[int], list[int]]:
    """The least and the greatest useful width of each column. If not ``whole``, values on the right wrap."""
    from rich.cells import cell_len

    least, most = [], []
    for index, (name, side) in enumerate(zip(header, sides, strict=True)):
        values = [row[index] for row in rows]
        prose = side == "left" and index == len(header) - 1
        wraps = prose or (side == "right" and not whole)
        unbroken = [*name.split(), *(word for value in values for word in (value.split() if wraps else [value]))]
        most.append(max(map(cell_len, [name, *values])))
        longest = max(map(cell_len, unbroken), default=0)
        least.append(min(most[-1], max(longest, PROSE)) if prose else longest)
    return least, most
