"""Random search: ``learning_rate=log:1e-4:1e-1 draws=8`` becomes eight values, drawn from a stated seed."""

import math
import re
import zlib
from collections.abc import Sequence

import numpy as np

from rnnlab.core.errors import InputError

_RANGE = re.compile(r"(?P<scale>log|uniform):(?P<low>[^:]+):(?P<high>[^:]+)")
_COUNTS = {"draws": 1, "draw_seed": 0}  # words of the command line, and the least that each may be


def expand_draws(assignments: Sequence[str]) -> list[str]:
    """``path=value`` texts with ranges replaced by values, and ``sweep=paired``, so that draws are of all together.

    ``log:LOW:HIGH`` is uniform in the logarithm, ``uniform:LOW:HIGH`` in the value; six digits. ``draws`` says how
    many, ``draw_seed`` (0) from which seed: the same values for the same seed and path, whatever else is drawn. Raises
    InputError.
    """
    counts: dict[str, int] = {}
    rest: list[tuple[str, str]] = []
    for path, _, value in (assignment.partition("=") for assignment in assignments):
        if path not in _COUNTS:
            rest.append((path, value))
        elif not value.isdecimal() or int(value) < _COUNTS[path]:
            raise InputError(f"--set {path}: {value!r} is not accepted; accepted: a whole number from {_COUNTS[path]}")
        else:
            counts[path] = int(value)
    ranges = {path: match for path, value in rest if (match := _RANGE.fullmatch(value))}
    if not ranges:
        if counts:
            raise InputError(
                f"--set {next(iter(counts))}: nothing is drawn; accepted: with learning_rate=log:1e-4:1e-1"
            )
        return list(assignments)
    if "draws" not in counts:
        path = next(iter(ranges))
        raise InputError(f"--set {path}: {ranges[path][0]} is a range; accepted: with draws=8, or values")
    drawn = {path: _draw(path, match, counts["draws"], counts.get("draw_seed", 0)) for path, match in ranges.items()}
    return [*(f"{path}={drawn.get(path, value)}" for path, value in rest), "sweep=paired"]


def _draw(path: str, match: re.Match[str], count: int, seed: int) -> str:
    try:
        low, high = float(match["low"]), float(match["high"])
    except ValueError:
        low = high = math.nan
    log = match["scale"] == "log"
    if not low < high or not math.isfinite(high - low) or (log and low <= 0):
        least = " above 0" if log else ""
        raise InputError(f"--set {path}: {match[0]!r} is not a range; accepted: {match['scale']}:LOW:HIGH, LOW{least}")
    # RandomState: numpy guarantees its stream for ever, unlike that of default_rng.
    random = np.random.RandomState([seed % 2**32, zlib.crc32(path.encode())])
    if log:
        low, high = math.log(low), math.log(high)
    values = random.uniform(low, high, count)
    return ",".join(f"{value:.6g}" for value in (np.exp(values) if log else values))
