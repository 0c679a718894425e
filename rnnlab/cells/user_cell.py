"""A user's cell: what its functions take and return is checked while they are traced; complex leaves become pairs.

Every mistake is one line that names the function, the leaf, what it is and what is accepted.
"""

import contextlib
import functools
import inspect
import traceback
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnnlab.cells.array_text import is_array, leaves_text, place, shown, sizes_text
from rnnlab.cells.complex_pairs import is_complex, join, split
from rnnlab.cells.from_flax import flax_class, flax_factory, is_flax_class, is_whole_model, whole_model_factory
from rnnlab.cells.session_cell import session_factory
from rnnlab.cells.user_file import load_factory
from rnnlab.config.cell_name import is_file_cell, parse_name
from rnnlab.core.errors import InputError
from rnnlab.core.types import Array, Carry, Cell, Key, Params
from rnnlab.core.user_file import UserFile, one_line

PARAMS = (jnp.float32, jnp.complex64)
CARRIES = (*PARAMS, jnp.int32, jnp.uint32, jnp.bool)
_DOUBLE = {np.dtype(jnp.float32): np.dtype(jnp.float64), np.dtype(jnp.complex64): np.dtype(jnp.complex128)}

TAKEN = {  # the arguments of each function of a cell
    "init": ("key", "inputs"),
    "initial_carry": ("params", "batch"),
    "step": ("params", "carry", "x"),
    "scan": ("params", "carry", "xs", "lengths", "reverse"),
    "gates": ("params", "carry", "x"),
    "last_output": ("hs", "lengths"),
    "paths": ("params",),
    "retention": ("gates",),
    "no_decay": ("params",),
}

_READ_IN_PYTHON = (
    jax.errors.ConcretizationTypeError,
    jax.errors.TracerArrayConversionError,
    jax.errors.TracerIntegerConversionError,
    jax.errors.NonConcreteBooleanIndexError,
)


def user_factory(name: str) -> Callable[..., Cell]:
    """The function ``(hidden_size, **options) -> Cell`` of a name that is no row of the table.

    ``path/to/file.py:function``, ``flax.linen:CLASS``, ``flax.nnx:CLASS`` or ``python:NAME``; a class of Flax cells
    stands for `flax_factory` of it.

    Its cells raise InputError for every mistake in the user's functions, and store complex parameters and carries as
    pairs of real arrays. Raises InputError where there is none.
    """
    file, factory = _named(name)
    if is_flax_class(factory):
        factory = whole_model_factory(factory) if is_whole_model(factory) else flax_factory(factory)

    @functools.wraps(factory)
    def make(*sizes: Any, **options: Any) -> Cell:
        swept = tuple(option for option, value in options.items() if isinstance(value, jax.core.Tracer))
        code = _UserCode(name, file, swept)
        cell = code.run("its function", factory, *sizes, **options)
        return _checked(cell, code) if isinstance(cell, Cell) else cell

    return make


def whole_model(name: str) -> Any:
    """The class of Flax modules of that name, if they are whole models; None for a cell."""
    if parse_name(name).combinators or not (is_file_cell(name) or name.startswith("python:")):
        return None
    made = _named(name)[1]
    return made if is_whole_model(made) else None


def _named(name: str) -> tuple[UserFile | None, Callable[..., Any]]:
    if is_file_cell(name):
        return load_factory(name)
    return None, flax_class(name) if name.startswith("flax.") else session_factory(name)


class _UserCode(NamedTuple):
    """Runs functions of the user's, whose exceptions become InputErrors."""

    name: str
    file: UserFile | None  # None: objects of this session
    swept: tuple[str, ...]  # options with a traced value

    def run(self, function: str, call: Callable[..., Any], *inputs: Any, **options: Any) -> Any:
        try:
            with self.file.imports() if self.file else contextlib.nullcontext():
                return call(*inputs, **options)
        except InputError:
            raise
        except (Exception, SystemExit) as error:
            raise self.error(f"{function} fails{self._line(error)}: {self._reason(error)}") from error

    def error(self, message: str) -> InputError:
        return InputError(f"cell: {self.name}: {message}")

    def _line(self, error: BaseException) -> str:
        """Where in the user's files the error arose."""
        if self.file is None:
            return ""
        files = {str(file): file.name for file in self.file.hashes}
        lines = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename in files]
        return f" at {files[lines[-1].filename]}, line {lines[-1].lineno}" if lines else ""

    def _reason(self, error: BaseException) -> str:
        if not isinstance(error, _READ_IN_PYTHON):
            return one_line(error)
        swept = f"; {', '.join(self.swept)} has several values, which makes it an array" if self.swept else ""
        return (
            f"{type(error).__name__}: Python (if, while, int(), float(), NumPy) reads the value of an array that is "
            f"known only when the compiled program runs{swept}; accepted: jnp.where, jax.lax.cond, jax.numpy"
            + (", or one value" if self.swept else "")
        )


def _checked(cell: Cell, code: _UserCode) -> Cell:
    _check_fields(cell, code)

    def init(key: Key, inputs: int) -> Params:
        params = code.run("init", cell.init, key, inputs)
        if params is None:
            raise code.error("init returns None; accepted: a dictionary, or other pytree, of float32 arrays")
        return split(_arrays(code, "init: parameter", params, PARAMS))

    def initial_carry(params: Params, batch: tuple[int, ...]) -> Carry:
        carry = code.run("initial_carry", cell.initial_carry, join(params), batch)
        carry, what = _arrays(code, "initial_carry: leaf", carry, CARRIES), "initial_carry: leaf"
        for path, leaf in jax.tree_util.tree_leaves_with_path(carry):
            if leaf.shape[: len(batch)] != tuple(batch):
                shape = ", ".join([*map(str, batch), "..."])
                raise code.error(f"{what}{place(path)} is {shown(leaf)}; accepted: the batch axes first, [{shape}]")
        return split(carry)

    def step(params: Params, carry: Carry, x: Array) -> tuple[Carry, Array]:
        assert cell.step is not None
        before = join(carry)
        result = code.run("step", cell.step, join(params), before, x)
        batch = x.shape if jnp.issubdtype(x.dtype, jnp.integer) else x.shape[:-1]
        return _step_result("step", before, result, batch)

    def scan(params: Params, carry: Carry, xs: Array, lengths: Array | None, reverse: bool) -> tuple[Carry, Array]:
        assert cell.scan is not None
        before = join(carry)
        return _step_result("scan", before, code.run("scan", cell.scan, join(params), before, xs, lengths, reverse),
                            xs.shape[:2])  # fmt: skip

    def _step_result(function: str, before: Carry, result: Any, batch: tuple[int, ...]) -> tuple[Carry, Array]:
        if not isinstance(result, tuple) or len(result) != 2:
            what = f"a tuple of {len(result)}" if isinstance(result, tuple) else shown(result)
            raise code.error(f"{function} returns {what}; accepted: a pair (carry, output)")
        after, h = result
        structures: list[Any] = [jax.tree.structure(tree) for tree in (before, after)]
        if structures[0] != structures[1]:
            raise code.error(
                f"{function} returns the carry {leaves_text(after)}; accepted: {leaves_text(before)}, as given"
            )
        after = _arrays(code, f"{function}: carry", after, None)
        for (path, old), new in zip(jax.tree_util.tree_leaves_with_path(before), jax.tree.leaves(after), strict=True):
            if (old.shape, old.dtype) != (new.shape, new.dtype):
                raise code.error(
                    f"{function}: carry{place(path)} becomes {shown(new)}; accepted: {shown(old)}, as given"
                )
        wanted = (*batch, cell.hidden_size)
        if getattr(h, "shape", None) != wanted or not _is_one_of(h.dtype, PARAMS[:1]):
            raise code.error(f"{function}: the output is {shown(h)}; accepted: float32[{sizes_text(wanted)}], the "
                             f"batch axes and the cell's hidden_size, {cell.hidden_size}")  # fmt: skip
        return split(after), h

    def gates(params: Params, carry: Carry, x: Array) -> Any:
        assert cell.gates is not None
        values = code.run("gates", cell.gates, join(params), join(carry), x)
        if cell.layers is None and not hasattr(values, "_asdict"):
            raise code.error(f"gates returns {leaves_text(values)}; accepted: a NamedTuple of float32 arrays")
        return _arrays(code, "gates: gate", values, PARAMS[:1])

    def paths(params: Params) -> list[Array]:
        assert cell.paths is not None
        vectors = code.run("paths", cell.paths, join(params))
        sizes = {path.shape if is_array(path) and path.ndim == 1 else None for path in vectors or [None]}
        if len(sizes) > 1 or None in sizes:
            raise code.error(
                f"paths returns {leaves_text(vectors)}; accepted: a list with a vector for each path, of one size"
            )
        return [jnp.concatenate([path.real, path.imag]) if is_complex(path) else path for path in vectors]

    def last_output(hs: Array, lengths: Array | None) -> Array:
        assert cell.last_output is not None
        output = code.run("last_output", cell.last_output, hs, lengths)
        if getattr(output, "shape", None) != hs.shape[1:] or not _is_one_of(output.dtype, PARAMS[:1]):
            raise code.error(f"last_output returns {shown(output)}; accepted: float32[{sizes_text(hs.shape[1:])}]")
        return output

    def retention(gates: Any) -> Any:
        assert cell.retention is not None
        factors = code.run("retention", cell.retention, gates)
        if not isinstance(factors, dict):
            raise code.error(f"retention returns {shown(factors)}; accepted: a dictionary of float32 arrays by gate")
        return _arrays(code, "retention: gate", factors, PARAMS[:1])

    def no_decay(params: Params) -> Any:
        assert cell.no_decay is not None
        spared = code.run("no_decay", cell.no_decay, join(params))
        if wrong := [leaf for leaf in jax.tree.leaves(spared) if not isinstance(leaf, (bool, np.bool))]:
            raise code.error(f"no_decay returns {shown(wrong[0])} for a parameter; accepted: a bool for each parameter")
        try:
            return jax.tree.broadcast(spared, params)
        except ValueError as error:
            raise code.error(f"no_decay returns {jax.tree.structure(spared)}; accepted: a bool for each parameter, "
                             f"{jax.tree.structure(join(params))}") from error  # fmt: skip

    return cell._replace(
        init=init,
        initial_carry=initial_carry,
        step=cell.step and step,
        scan=cell.scan and scan,
        fused=None,
        gates=cell.gates and gates,
        layers=cell.layers and tuple(_checked(layer, code) for layer in cell.layers),
        last_output=cell.last_output and last_output,
        paths=cell.paths and paths,
        retention=cell.retention and retention,
        no_decay=cell.no_decay and no_decay,
    )


def _check_fields(cell: Cell, code: _UserCode) -> None:
    """Raise InputError unless the cell has the functions it needs, and these take what they are given."""
    if not isinstance(cell.hidden_size, int) or cell.hidden_size < 1:
        raise code.error(f"it has hidden_size {cell.hidden_size!r}; accepted: the width of its output, from 1")
    if cell.step is None and cell.scan is None:
        raise code.error("it has neither a step nor a scan; accepted: Cell(init, initial_carry, step, hidden_size=...)")
    for field, taken in TAKEN.items():
        function = getattr(cell, field)
        if function is None and field not in ("init", "initial_carry"):
            continue
        if not callable(function):
            raise code.error(f"{field} is {function!r}; accepted: a function ({', '.join(taken)})")
        try:
            signature = inspect.signature(function)
        except ValueError:
            continue  # a built-in
        try:
            signature.bind(*taken)
        except TypeError:
            raise code.error(f"{field} takes {signature}; accepted: ({', '.join(taken)})") from None


def _arrays(code: _UserCode, what: str, tree: Any, dtypes: tuple[Any, ...] | None) -> Any:
    """``tree`` with its leaves as JAX arrays. Raises InputError for a leaf that is none, or not of ``dtypes``."""
    accepted = "" if dtypes is None else f" of {', '.join(np.dtype(dtype).name for dtype in dtypes)}"

    def array(path: Any, leaf: Any) -> Array:
        if isinstance(leaf, (np.ndarray, np.generic)) and leaf.dtype.kind in "biufc":
            leaf = jnp.asarray(leaf)  # float32 of NumPy's float64
        if not isinstance(leaf, jax.Array) or not (dtypes is None or _is_one_of(leaf.dtype, dtypes)):
            raise code.error(f"{what}{place(path)} is {shown(leaf)}; accepted: an array{accepted}")
        if leaf.size == 0:
            raise code.error(f"{what}{place(path)} is {shown(leaf)}, of size zero; accepted: sizes from 1")
        return leaf

    return jax.tree_util.tree_map_with_path(array, tree)


def _is_one_of(dtype: Any, dtypes: tuple[Any, ...]) -> bool:
    """Whether ``dtype`` is one of ``dtypes``, or twice as wide, as arrays are under x64."""
    return any(dtype in (np.dtype(each), _DOUBLE.get(np.dtype(each))) for each in dtypes)
