"""Several processes that run one program: what the first decides, what all agree on. With one, nothing is exchanged.

Every function here is called by all processes, in the same order.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np

from rnnlab.core.errors import InputError

# A process that ends closes its connections, which the others notice within a second; this is for machines that vanish.
HEARTBEAT_SECONDS = 60

T = TypeVar("T")


class SharedError(InputError):
    """An InputError that every process raises at the same place."""


def connect(seconds: int, **arguments: Any) -> None:
    """Begin `jax.distributed` with its own ``arguments``, within ``seconds``; before JAX starts."""
    import jax

    jax.distributed.initialize(**arguments, initialization_timeout=seconds, heartbeat_timeout_seconds=HEARTBEAT_SECONDS)


def count() -> int:
    """How many processes there are."""
    import jax

    return jax.process_count()


def is_first() -> bool:
    """Whether this process is the one that decides and writes."""
    import jax

    return jax.process_index() == 0


def gather(values: tuple[float, ...]) -> np.ndarray:
    """The ``values`` of every process, float32 ``[processes, len(values)]``."""
    row = np.array(values, np.float32)
    if count() == 1:
        return row[None]
    from jax.experimental import multihost_utils

    return np.asarray(multihost_utils.process_allgather(row))


def least(value: int | None) -> int | None:
    """The smallest ``value`` of all processes, to seven digits; None if none has one."""
    if count() == 1:
        return value
    smallest = float(gather((float("inf") if value is None else value,)).min())
    return None if smallest == float("inf") else int(smallest)


def first_says(yes: bool) -> bool:
    """``yes`` of the first process."""
    return bool(gather((yes,))[0, 0])


def on_first(function: Callable[[], T]) -> T:
    """What ``function`` returns in the first process, a JSON value or None; the others do not call it.

    Raises its InputError in every process, as SharedError.
    """
    if count() == 1:
        return function()
    answer: dict[str, Any] = {}
    if is_first():
        answer = _attempt(function)
    answer = json.loads(_gather_text(json.dumps(answer))[0])
    if "error" in answer:
        raise SharedError(answer["error"])
    value: T = answer["value"]
    return value


def everywhere(function: Callable[[], T]) -> T:
    """``function()`` in every process. Raises SharedError in all of them where it raises InputError in one."""
    if count() == 1:
        return function()
    answer = _attempt(function)
    errors = _gather_text(answer.get("error", ""))
    for process, error in enumerate(errors):
        if error:
            raise SharedError(f"process {process}: {error}")
    value: T = answer["value"]
    return value


def check_equal(texts: Mapping[str, str]) -> None:
    """Raise SharedError, with the name, unless each text is the same in every process."""
    if count() == 1:
        return
    rows = [json.loads(text) for text in _gather_text(json.dumps(dict(texts)))]
    for name in texts:
        for process, row in enumerate(rows):
            if row[name] != rows[0][name]:
                ours, other = (value[:80] for value in (rows[0][name], row[name]))
                raise SharedError(
                    f"{name}: {other} in process {process}, {ours} in process 0; accepted: the same in all"
                )


def _attempt(function: Callable[[], Any]) -> dict[str, Any]:
    try:
        return {"value": function()}
    except InputError as error:
        return {"error": str(error)}


def _gather_text(text: str) -> list[str]:
    """The text of every process."""
    from jax.experimental import multihost_utils

    encoded = np.frombuffer(text.encode(), np.uint8)
    lengths = np.asarray(multihost_utils.process_allgather(np.int32(len(encoded)))).reshape(-1)
    padded = np.zeros(max(1, 1 << int(lengths.max()).bit_length()), np.uint8)  # few shapes, few programs
    padded[: len(encoded)] = encoded
    rows = np.asarray(multihost_utils.process_allgather(padded)).reshape(len(lengths), -1)
    return [bytes(row[:length]).decode() for row, length in zip(rows, lengths.tolist(), strict=True)]
