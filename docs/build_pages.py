"""MkDocs hook: runs the tutorials, writes the pages on cells, studies and commands from the code itself, and takes
what was measured from README.md."""

import contextlib
import inspect
import io
import os
import re
import tempfile
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

BLOCK = re.compile(r"```python\n(.*?)```\n", re.DOTALL)
PART = re.compile(r'--8<-- "(\w+)"')


def on_files(files: Files, config: Any) -> Files:
    """Replace the tutorials by what running them gives, and add the generated pages."""
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    for file in [file for file in files.documentation_pages() if file.src_uri.startswith("tutorials/")]:
        text, pictures = run(file.content_string)
        files.remove(file)
        files.append(File.generated(config, file.src_uri, content=text))
        for name, content in pictures.items():
            files.append(File.generated(config, f"tutorials/{name}", content=content))
    checkout = Path(config.config_file_path).parent
    readme = (checkout / "README.md").read_text()
    for file in [file for file in files.documentation_pages() if PART.search(file.content_string)]:
        files.remove(file)
        text = PART.sub(lambda match: measured(readme, match[1]), file.content_string)
        files.append(File.generated(config, file.src_uri, content=text))
    for picture in (checkout / ".readme").glob("*.png"):
        files.append(File.generated(config, picture.name, content=picture.read_bytes()))
    for name, write in {"cells.md": cells, "studies.md": studies, "commands.md": commands}.items():
        files.append(File.generated(config, name, content=write()))
    return files


def measured(readme: str, part: str) -> str:
    """What was generated between the marks of a part of README.md, unfolded."""
    found = re.search(rf"<!-- {part} -->(.*?)<!-- /{part} -->", readme, re.DOTALL)
    if found is None:
        raise ValueError(f"README.md has no part {part!r}")
    return re.sub(r"<summary>(.*?)</summary>", r"\1:", re.sub(r"</?details>", "", found[1])).strip()


def run(text: str) -> tuple[str, dict[str, bytes]]:
    """A tutorial with the output of each block below it, and the pictures it saved. Raises what its code raises."""
    names: dict[str, Any] = {"__name__": "tutorial"}
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):

        def executed(block: re.Match[str]) -> str:
            with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()):
                exec(compile(block[1], "tutorial", "exec"), names)
            shown = out.getvalue().rstrip()
            return block[0] + (f"\n```text\n{shown}\n```\n" if shown else "")

        done = BLOCK.sub(executed, text)
        pictures = {path.name: path.read_bytes() for path in Path(folder).glob("*.png")}
    missing = [name for name in re.findall(r"!\[.*?\]\((.*?)\)", text) if name not in pictures]
    if missing or not pictures:
        raise ValueError(f"a tutorial ends in a picture; missing: {missing}")
    return done, pictures


def cells() -> str:
    """The table of cells, then each with its equations: the docstring of its factory."""
    from rnnlab.cells.registry import CELLS, COMBINATORS
    from rnnlab.cli.cells import table

    parts = ["# The cells\n", "Parameters with 100 units and 28 inputs, alone and with a 10-way softmax on h.\n",
             table(markdown=True)]  # fmt: skip
    for name, entry in {**CELLS, **COMBINATORS}.items():
        signature = str(inspect.signature(entry.factory)).replace("rnnlab.core.types.", "")
        parts.append(f"\n## {name}\n\n```python\n{name}{signature}\n```\n\n{_described(entry.factory)}")
    return "\n".join(parts)


def studies() -> str:
    """Every study's docstring, which is its record."""
    from rnnlab.cli import studies

    parts = ["# The studies\n", "`python -m experiments run NAME`. A study's docstring is its record.\n"]
    for name in studies.names():
        parts.append(f"## {name}\n\n```text\n{inspect.cleandoc(studies.study(name).__doc__ or '')}\n```\n")
    return "\n".join(parts)


def commands() -> str:
    """The help of every command."""
    import argparse

    from rnnlab.cli.main import _parser

    parser = _parser()
    parser.prog = "python -m experiments"
    (made,) = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    parts = ["# The command line\n", "From a checkout; `rnnlab` or `python -m rnnlab` where it is installed.\n"]
    for name, command in made.choices.items():
        command.prog = f"python -m experiments {name}"
        parts.append(f"## {name}\n\n```text\n{command.format_help()}```\n")
    return "\n".join(parts)


def _described(function: Any) -> str:
    text = inspect.cleandoc(function.__doc__ or "")
    return re.sub(r"``(.+?)``", r"`\1`", re.sub(r"(?m)^( {4}.*(?:\n {4}.*)*)", r"\n\1\n", text)) + "\n"
