"""Progress of a run, on a terminal or anywhere else."""

import time
from collections.abc import Mapping, Sequence

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Column

from rnnlab.core.terminal import escaped

NARROW = 80  # columns below which there is no room for a bar


class ProgressMeter:
    """What a run reports while it trains. Subclass it and define what you need; the rest does nothing.

    Examples:
        >>> class Losses(ProgressMeter):
        ...     def record(self, arm, epoch, runs, metrics):
        ...         print(arm, epoch, [run["seed"] for run in runs], metrics["validation/loss"].shape)
    """

    def begin(self, arm: str, runs: int, steps: int, done: int) -> None:
        """An arm begins, or resumes, with ``done`` of ``steps`` training steps."""

    def move(self, done: int, epoch: int, seconds_left: float | None, note: str) -> None:
        """``done`` steps are complete; ``seconds_left`` of this arm is None while unknown."""

    def record(
        self, arm: str, epoch: int, runs: Sequence[Mapping[str, float]], metrics: Mapping[str, np.ndarray]
    ) -> None:
        """An epoch ended. ``runs``: seed and hyperparameters of each; ``metrics``: ``[R]`` of each, NaN if diverged,
        by a name such as "validation/loss"."""

    def end(self, seconds: float) -> None:
        """The arm is complete after ``seconds`` of training."""

    def line(self, text: str) -> None:
        """A single line for the user."""


class NoProgressMeter(ProgressMeter):
    """Reports nothing."""


def duration(seconds: float) -> str:
    """Seconds as text: 8 s, 3 min 05 s, 2 h 04 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


class TerminalProgressMeter(ProgressMeter):
    """On standard error: a bar per arm on a terminal, elsewhere a line every ``every`` seconds."""

    def __init__(self, every: float = 10.0) -> None:
        self.console = Console(stderr=True, highlight=False)
        self.every = every
        self.arm, self.runs, self.steps = "", 0, 1
        self.last_line = 0.0
        self.bars: Progress | None = None
        self.bar: TaskID | None = None

    def begin(self, arm: str, runs: int, steps: int, done: int) -> None:
        self.arm, self.runs, self.steps, self.last_line = arm, runs, steps, time.monotonic()
        if not self.console.is_terminal:
            self.line(f"{arm}: {runs} runs x {steps} steps" + (f", from step {done}" if done else ""))
            return
        if self.bars is None:
            wrap = Column(no_wrap=False)
            name, note = (TextColumn(text, table_column=wrap) for text in ("{task.description}", "{task.fields[note]}"))
            columns = (name, BarColumn(), note) if self.console.width >= NARROW else (name, note)
            self.bars = Progress(*columns, console=self.console, refresh_per_second=4)
            self.bars.start()
        self.bar = self.bars.add_task(f"{arm} ({runs} runs)", total=steps, completed=done, note="compiling")

    def move(self, done: int, epoch: int, seconds_left: float | None, note: str) -> None:
        left = "" if seconds_left is None else f", {duration(seconds_left)} left"
        text = f"epoch {epoch}{left}{note and f', {note}'}"
        if self.bars is not None and self.bar is not None:
            self.bars.update(self.bar, completed=done, note=text)
        elif time.monotonic() - self.last_line > self.every:
            self.last_line = time.monotonic()
            self.line(f"{self.arm}: {100 * done // self.steps} %, {text}")

    def end(self, seconds: float) -> None:
        if self.bars is not None and self.bar is not None:
            self.bars.update(self.bar, completed=self.steps, note=f"done in {duration(seconds)}")
        else:
            self.line(f"{self.arm}: done in {duration(seconds)}")

    def line(self, text: str) -> None:
        """Print one line above the bars."""
        self.console.print(escaped(text), markup=False, soft_wrap=True)

    def close(self) -> None:
        """Restore the terminal."""
        if self.bars is not None:
            self.bars.stop()
