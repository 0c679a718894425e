"""Tables as text for a terminal."""

from collections.abc import Sequence

WIDTH = 160  # columns of a file or a pipe


def terminal_table(
    header: Sequence[str], rows: Sequence[Sequence[str]], *, title: str = "", justify: Sequence[str] | None = None,
    footer: str = "",
) -> str:  # fmt: skip
    """A table that fits the terminal (160 columns in a file or a pipe); "" without rows.

    ``justify`` is "left" or "right" for each column; None: the first one left, the others right. Left columns do not
    wrap, except in the last place. ``footer`` is wrapped text below the table.
    """
    from rich.console import Console
    from rich.table import Table

    if not rows:
        return ""
    sides = list(justify) if justify is not None else ["left", *["right"] * (len(header) - 1)]
    table = Table(box=None, header_style="bold", title=title or None, title_justify="left")
    for index, (name, side) in enumerate(zip(header, sides, strict=True)):
        no_wrap = side == "left" and index < len(header) - 1
        table.add_column(name, justify="left" if side == "left" else "right", no_wrap=no_wrap)
    for row in rows:
        table.add_row(*row)
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = WIDTH
    with console.capture() as captured:
        console.print(table)
        if footer:
            console.print(footer)
    return "".join(f"{line.rstrip()}\n" for line in captured.get().splitlines())
