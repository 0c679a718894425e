"""Fill the generated parts of README.md: `python .ci/readme.py RUN_OF_QUICKSTART` (without: the cells alone)."""

import re
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))


def fill(text: str, part: str, content: str) -> str:
    """``text`` with what stands between the marks of ``part`` replaced."""
    marks = rf"(<!-- {part} -->\n).*?(<!-- /{part} -->)"
    return re.sub(marks, lambda match: f"{match[1]}{content}\n{match[2]}", text, count=1, flags=re.DOTALL)


def quickstart(directory: Path) -> str:
    """The picture and the table of a finished run of the quickstart."""
    from rnnlab.records import read_json
    from rnnlab.report import read_summary, table

    summary = read_summary(directory)
    shutil.copy(directory / "figures" / "loss_curves.png", ROOT / ".readme" / "quickstart.png")
    header, rows = table(summary)
    lines = [f"| {' | '.join(line)} |" for line in (header, ["---", *["---:"] * (len(header) - 1)], *rows)]
    environment = read_json(directory / "env.json")
    devices, packages = environment["devices"], environment["packages"]
    where = f"{len(devices)} {devices[0].split(':')[0].upper()} devices, jax {packages['jax']}"
    picture = "![Loss of four cells by epoch, mean over 16 seeds with 95 % intervals](.readme/quickstart.png)"
    caption = f"`python -m experiments run quickstart`, {where}; mean ± half of the 95 % interval over seeds."
    return "\n".join([picture, "", caption, "", *lines])


def main() -> None:
    from experiments._cells import table

    readme = ROOT / "README.md"
    text = fill(readme.read_text(), "cells", table(markdown=True))
    if len(sys.argv) > 1:
        text = fill(text, "quickstart", quickstart(Path(sys.argv[1])))
    readme.write_text(text)


if __name__ == "__main__":
    main()
