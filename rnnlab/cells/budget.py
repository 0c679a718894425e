"""Hidden sizes of equal numbers of parameters."""

from typing import Any

import jax

from rnnlab.cells.registry import count_parameters, make_cell


def hidden_size_for(name: str, parameters: int, inputs: int, outputs: int = 0, **options: Any) -> int:
    """The number of units with which the cell called ``name`` has the number of parameters nearest to ``parameters``.

    With those of a readout of ``outputs`` classes or values. At least 1; the smaller of two that are equally near. With
    the option ``heads``, a multiple of it.
    """
    unit = options.get("heads", 1)

    def count(multiple: int) -> int:
        cell = make_cell(name, unit * multiple, **options)
        shapes = jax.eval_shape(lambda key: cell.init(key, inputs), jax.random.key(0))
        return count_parameters(shapes) + outputs * (cell.hidden_size + 1)

    high = 2
    while count(high) < parameters:
        high *= 2
    low = high // 2  # counts grow with the number of units
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if count(middle) <= parameters else (low, middle)
    return unit * min((low, high), key=lambda multiple: abs(count(multiple) - parameters))
