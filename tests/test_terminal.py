"""What is printed: on narrow terminals, in poor encodings, with control characters, to readers that leave."""

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from rnnlab.core import terminal
from rnnlab.core.terminal import entry, escaped, listing, terminal_table

ROOT = Path(__file__).resolve().parent.parent
HEADER = ["arm", "test bits per character at best validation", "n", "parameters"]
ROWS = [["lstm", "6.4854 ± 0.1920", "16", "2,243"], ["cerebral-identical", "6.4802 ± 0.0703", "16", "103,971"]]
CLAIMS = [["Deeper is better", "undecided", "loss: 0.1 (0.05 to 0.2, n = 16); needs about 1,000 seeds for 80 % power"]]


def test_a_character_that_would_drive_the_terminal_is_escaped():
    raw = "a\x1b[31m\x07\x9b\r\x7f\u202e\u2028é\tb\n"
    assert escaped(raw) == r"a\x1b[31m\x07\x9b\r\x7f\u202e\u2028é" + "\tb\n"
    table = terminal_table(["a\x1bm"], [["b\x1b[2J"]], title="c\x07", footer="d\x08")
    assert table == escaped(table)
    assert all(name in table for name in (r"a\x1bm", r"b\x1b[2J", r"c\x07", r"d\x08"))
    assert entry("a\x1b", "b\x1b") + listing(["c\x1b"]) == r"a\x1b" + " " * 12 + r"b\x1bc\x1b"


@pytest.mark.parametrize("columns", [20, 40, 60, 79, None])
@pytest.mark.parametrize(
    ("header", "rows", "justify"),
    [
        (HEADER, ROWS, None),
        (["claim", "verdict", "measured"], CLAIMS, ["left"] * 3),
        (HEADER, [["lstm", "failed"]], None),
    ],
)
def test_a_table_fits_and_breaks_no_word(monkeypatch, columns, header, rows, justify):
    monkeypatch.setenv("COLUMNS", str(columns or ""))
    table = terminal_table(header, rows, justify=justify, footer="mean and half-width")
    assert max(map(len, table.splitlines())) <= (columns or terminal.WIDTH)
    words = table.replace(":", " ").split()
    for text in [*header, *(cell for row in rows for cell in row), "mean and half-width"]:
        assert set(text.replace(":", " ").split()) <= set(words), text
    if columns is None:
        assert all(any(cell in line for line in table.splitlines()) for row in rows for cell in row)
    if columns == 20:
        assert table.startswith(f"{header[0]}: ")


def test_a_list_fits(monkeypatch):
    text = "Parity, addition and memorization [6 arms]"
    for columns, lines in ((20, 4), (79, 1)):
        monkeypatch.setenv("COLUMNS", str(columns))
        shown = entry("algorithmic", text).splitlines()
        assert (len(shown), max(map(len, shown)) <= columns) == (lines, True)
    monkeypatch.setenv("COLUMNS", "20")
    assert listing(["report: a/b", "figure: c/d"]) == "report: a/b\nfigure: c/d"


@pytest.mark.parametrize("command", ["list", "--help"])
def test_output_that_goes_nowhere(command):
    for place, code, said in (("/dev/full", 2, 1), (None, 141, 0)):
        with open(place, "w") if place else _closed_pipe() as stream:
            program = [sys.executable, "-m", "experiments", command]
            done = subprocess.run(program, cwd=ROOT, stdout=stream, stderr=subprocess.PIPE, text=True, check=False)
        assert (done.returncode, done.stderr.count("\n")) == (code, said), done.stderr
    closed = subprocess.run(f"{sys.executable} -m experiments {command} >&-", cwd=ROOT, shell=True, check=False)
    assert closed.returncode == 0


def _closed_pipe():
    read, write = os.pipe()
    os.close(read)
    return os.fdopen(write, "w")


def test_a_terminal_gets_the_sampled_text_escaped_and_a_pipe_as_it_is(monkeypatch):
    assert terminal.escaped_on_terminal("a\x1b\n") == "a\x1b\n"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert terminal.escaped_on_terminal("a\x1b\n") == "a\\x1b\n"


@pytest.mark.parametrize(
    ("command", "number"),
    [("report", signal.SIGINT), ("resume", signal.SIGTERM),
     *(pytest.param(command, signal.SIGINT, marks=pytest.mark.slow) for command in ("analyze", "sample", "resume"))],
)  # fmt: skip
def test_a_signal_ends_a_command_with_one_line(tmp_path, command, number):
    os.mkfifo(tmp_path / "config.json")
    program = [sys.executable, "-m", "experiments", command, str(tmp_path)]
    heard = partial(signal.signal, signal.SIGINT, signal.default_int_handler)  # background jobs of a shell ignore it
    process = subprocess.Popen(
        program, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=heard
    )
    with (tmp_path / "config.json").open("w"):  # open once the command reads
        process.send_signal(number)
        assert process.communicate(timeout=30) == ("", "stopped; what was saved before stays valid\n")
    assert process.returncode == 128 + number
