"""The table of cells, from the cells themselves: counts by tracing, formulas and papers from their docstrings."""

import inspect
import re
from collections.abc import Sequence

import jax

from rnnlab.cells.registry import CELLS, COMBINATORS, cell_factory, count_parameters, make_cell
from rnnlab.core.errors import InputError

INPUTS, HIDDEN, CLASSES = 28, 100, 10  # row-wise MNIST, the sizes of Akandeh & Salem's Table 1

EXAMPLES = tuple(f"{combinator}(lstm)" for combinator in COMBINATORS)

HEADER = ("cell", "parameters", "with softmax", "formula", "paper")


def rows(own: Sequence[str] = ()) -> list[tuple[str, str, str, str, str]]:
    """A row a cell, and one for each combinator: name, parameters with D=28 and H=100, the same with a 10-way softmax
    on h, formula, paper."""
    found = []
    for name in (*CELLS, *EXAMPLES, *own):
        cell = make_cell(name, HIDDEN)
        try:
            shapes = jax.eval_shape(lambda key, cell=cell: cell.init(key, INPUTS), jax.random.key(0))
        except Exception as error:
            if name not in own:
                raise
            raise InputError(f"cell: {name}: init fails: {type(error).__name__}: {error}") from error
        count = count_parameters(shapes)
        doc = inspect.getdoc(cell_factory(name)) or ""
        readout = cell.hidden_size * CLASSES + CLASSES
        paper = re.sub(r"\s*\n\s+", " ", _section(doc, "Paper"))
        found.append((name, f"{count:,}", f"{count + readout:,}", _section(doc, "Parameters").rstrip("."), paper))
    return found


def _section(doc: str, title: str) -> str:
    match = re.search(rf"^{title}: (.*(?:\n    .*)*)", doc, re.MULTILINE)
    return " ".join(match.group(1).split()) if match else ""


def table(own: Sequence[str] = (), *, markdown: bool = False) -> str:
    """The rows as text with aligned columns and what they leave out, or as a Markdown table."""
    lines = [HEADER, *rows(own)]
    if markdown:
        cells = [tuple(cell.replace("*", r"\*").replace("|", r"\|") for cell in line) for line in lines]
        cells = [(f"`{line[0]}`", *line[1:]) if index else line for index, line in enumerate(cells)]
        rule = ("---", "---:", "---:", "---", "---")
        return "\n".join(f"| {' | '.join(line)} |" for line in (cells[0], rule, *cells[1:]))
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADER) - 1)]
    align = (str.ljust, str.rjust, str.rjust, str.ljust)
    shown = [
        "  ".join((*(fit(cell, width) for fit, cell, width in zip(align, line, widths, strict=False)), line[-1]))
        for line in lines
    ]
    return "\n".join([*shown, "", f"{', '.join(f'{name}(CELL)' for name in COMBINATORS)}: any cell, a combined one or"
                      " path/to/file.py:function too, as in bidirectional(cerebral(gru))"])  # fmt: skip
