"""The command ``cells``: the registry as a table, with parameter counts from the cells themselves."""

import inspect
from collections.abc import Sequence

import jax

from rnnlab.cells.registry import CELLS, COMBINATORS, CellEntry, cell_factory, count_parameters, make_cell
from rnnlab.core.errors import InputError
from rnnlab.core.terminal import columns, escaped, records, wrapped

INPUTS, HIDDEN, CLASSES = 28, 100, 10  # row-wise MNIST, the sizes of Akandeh & Salem's Table 1

HEADER = ("cell", "parameters", "with softmax", "formula", "tested against", "paper")


def rows(own: Sequence[str] = ()) -> list[tuple[str, ...]]:
    """A row per cell, combinator (around an LSTM) and cell in ``own``: name, parameters with D=28 and H=100, the same
    with a 10-way softmax on h, formula, oracle, paper."""
    combined = {f"{name}(lstm)": entry for name, entry in COMBINATORS.items()}
    entries = {**CELLS, **combined, **{name: _user_entry(name) for name in own}}
    table: list[tuple[str, ...]] = []
    for name, entry in entries.items():
        cell = make_cell(name, HIDDEN)
        try:
            shapes = jax.eval_shape(lambda key, cell=cell: cell.init(key, INPUTS), jax.random.key(0))
        except InputError:
            raise
        except Exception as error:
            if name not in own:
                raise
            raise InputError(f"cell: {name}: init fails: {type(error).__name__}: {error}") from error
        count, readout = count_parameters(shapes), cell.hidden_size * CLASSES + CLASSES
        table.append((name, f"{count:,}", f"{count + readout:,}", entry.formula, entry.oracle, entry.paper))
    return table


def _user_entry(name: str) -> CellEntry:
    """Of a user's cell: what its docstring says after ``Paper:`` and ``Parameters:``."""
    factory = cell_factory(name)
    lines = [line.strip() for line in (inspect.getdoc(factory) or "").splitlines()]
    paper, formula = (
        next((line.removeprefix(title).strip() for line in lines if line.startswith(title)), "")
        for title in ("Paper:", "Parameters:")
    )
    return CellEntry(factory, paper, formula)


def table(own: Sequence[str] = (), *, markdown: bool = False) -> str:
    """The rows as text with aligned columns, or as a Markdown table."""
    lines = [HEADER, *(tuple(map(escaped, row)) for row in rows(own))]
    if markdown:
        cells = [tuple(cell.replace("*", r"\*").replace("|", r"\|") for cell in line) for line in lines]
        cells = [(f"`{line[0]}`", *line[1:]) if index else line for index, line in enumerate(cells)]
        rule = ("---", "---:", "---:", "---", "---", "---")
        return "\n".join(f"| {' | '.join(line)} |" for line in (cells[0], rule, *cells[1:]))
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADER) - 1)]
    align = (str.ljust, str.rjust, str.rjust, str.ljust, str.ljust)
    shown = [
        "  ".join((*(fit(cell, width) for fit, cell, width in zip(align, line, widths, strict=False)), line[-1]))
        for line in lines
    ]
    if (width := columns()) is not None and max(map(len, shown)) > width:
        shown = records(HEADER, lines[1:], width).splitlines()
    combinators = ", ".join(f"{name}(CELL)" for name in COMBINATORS)
    note = (
        f"CELL in {combinators}: any cell, combined or path/to/file.py:function too, as in bidirectional(cerebral(gru))"
    )
    return "\n".join([*shown, "", note if width is None else wrapped(note, width)])
