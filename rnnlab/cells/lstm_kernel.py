"""The LSTM over all time steps as one kernel of a GPU.

XLA runs a scan on a GPU step by step: several kernels a step, and c, h and U travel through its memory between them.
Here a program takes 16 sequences of one run through all steps, with c and h in registers; vmapped over runs, the
programs of all runs are there at once. Products with W, and those that give weights their gradients, have all steps at
hand and stay with XLA. Idea: Pöppel, Beck & Hochreiter, FlashRNN, 2024, where heads of a model take the place of runs.
"""

from functools import partial
from importlib.util import find_spec
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl

from rnnlab.cells.weight_gradients.derivatives import with_gradient
from rnnlab.cells.weight_gradients.leaves import Leaves
from rnnlab.core.types import Array

TRITON = "jax.experimental.pallas.triton"  # which JAX 0.11 warns that it will remove
SEQUENCES = 16  # of a program: the fewest that a matrix unit takes
WARPS = 8  # of 2, 4, 8 and 16 the fastest for 128 units (H100)
MAX_UNITS = 128  # beyond, a program's products no longer fit in its registers


def pays(units: int) -> bool:
    """Whether this kernel is faster than a scan: on a GPU, from one run on (BUILD_NOTES), while JAX has Triton."""
    return jax.default_backend() == "gpu" and units <= MAX_UNITS and find_spec(TRITON) is not None


def recurrence(
    zx: Array, u: Array, c: Array, h: Array, lengths: Array | None = None, *, reverse: bool = False
) -> tuple[Array, Array, Array]:
    """``(c_T, h_T, hs [T, B, H])`` of gates ``s(zx_t + h U)``, in the order i, f, c~, o.

    ``zx [T, B, 4, H]``, ``u [H, 4, H]``, ``c`` and ``h [B, H]``, all float32; ``lengths [B]`` as in `unroll`. The
    gradient is a kernel as well; other derivatives are those of a scan. Outside of a GPU both are interpreted.
    """
    steps, batch, _, units = zx.shape
    wide, many = max(16, pl.next_power_of_2(units)), pl.cdiv(batch, SEQUENCES) * SEQUENCES
    more_units, more_sequences = (0, wide - units), (0, many - batch)
    zx = jnp.pad(zx, ((0, 0), more_sequences, (0, 0), more_units))
    u = jnp.pad(u, (more_units, (0, 0), more_units))
    c, h = (jnp.pad(part, (more_sequences, more_units)) for part in (c, h))
    valid = jnp.full(batch, steps, jnp.int32) if lengths is None else lengths.astype(jnp.int32)
    run = with_gradient(
        partial(_scan, reverse), partial(_forward, reverse, False), partial(_forward, reverse, True),
        partial(_backward, reverse), 3,
    )  # fmt: skip
    c, h, hs = run(zx, u, c, h, jnp.pad(valid, more_sequences))
    return c[:batch, :units], h[:batch, :units], hs[:, :batch, :units]


def _scan(reverse: bool, zx: Array, u: Array, c: Array, h: Array, lengths: Array) -> Leaves:
    """The oracle, and the source of all derivatives but the first in reverse mode."""

    def step(carry: tuple[Array, Array], inputs: tuple[Array, Array]) -> Any:
        (c, h), (z, t) = carry, inputs
        z = z + jax.lax.dot_general(h, u, (((1,), (0,)), ((), ())))
        after, _ = _step(tuple(z[:, gate] for gate in range(4)), c)
        valid = t < lengths[:, None]
        c, kept = jnp.where(valid, after[0], c), jnp.where(valid, after[1], h)
        return (c, kept), jnp.where(valid, after[1], 0.0)

    (c, h), hs = jax.lax.scan(step, (c, h), (zx, jnp.arange(len(zx))), reverse=reverse)
    return [c, h, hs]


def _step(z: tuple[Any, ...], c: Array) -> tuple[tuple[Array, Array], tuple[Array, ...]]:
    """``(c_t, h_t)`` and the gates, from their pre-activations."""
    i, f, candidate, o = jax.nn.sigmoid(z[0]), jax.nn.sigmoid(z[1]), jnp.tanh(z[2]), jax.nn.sigmoid(z[3])
    c = f * c + i * candidate
    return (c, o * jnp.tanh(c)), (i, f, candidate, o)


def _dot(rows: Array, weight: Array) -> Array:
    return jnp.dot(rows, weight, preferred_element_type=jnp.float32)


def _forward_program(
    u: Any, zx: Any, c_first: Any, h_first: Any, lengths: Any, c_last: Any, h_last: Any, hs: Any, *stored: Any,
    steps: int, reverse: bool,
) -> None:  # fmt: skip
    valid_steps = lengths[:][:, None]

    def body(number: Array, carry: tuple[Array, Array]) -> tuple[Array, Array]:
        c, h = carry
        t = steps - 1 - number if reverse else number
        (c_new, h_new), gates = _step(tuple(zx[t, :, gate, :] + _dot(h, u[gate, :, :]) for gate in range(4)), c)
        valid = t < valid_steps
        c, h = jnp.where(valid, c_new, c), jnp.where(valid, h_new, h)
        hs[t, :, :] = jnp.where(valid, h_new, 0.0)
        if stored:
            stored[0][t, :, :] = c
            for place, gate in enumerate(gates):
                stored[1][t, :, place, :] = gate
        return c, h

    c_last[:, :], h_last[:, :] = jax.lax.fori_loop(0, steps, body, (c_first[:, :], h_first[:, :]))


def _backward_program(
    u: Any, cs: Any, gates: Any, c_first: Any, lengths: Any, d_c_last: Any, d_h_last: Any, d_hs: Any,
    d_z: Any, d_c_first: Any, d_h_first: Any, *, steps: int, reverse: bool,
) -> None:  # fmt: skip
    valid_steps = lengths[:][:, None]

    def body(number: Array, carry: tuple[Array, Array]) -> tuple[Array, Array]:
        d_c, d_h = carry
        t = number if reverse else steps - 1 - number
        before = jnp.clip(t + 1 if reverse else t - 1, 0, steps - 1)
        c_before = jnp.where(number == steps - 1, c_first[:, :], cs[before, :, :])
        i, f, candidate, o = (gates[t, :, place, :] for place in range(4))
        squashed = jnp.tanh(cs[t, :, :])
        d_out = d_h + d_hs[t, :, :]
        d_cell = d_c + d_out * o * (1 - squashed * squashed)
        slopes = (
            d_cell * candidate * i * (1 - i), d_cell * c_before * f * (1 - f),
            d_cell * i * (1 - candidate * candidate), d_out * squashed * o * (1 - o),
        )  # fmt: skip
        valid, back = t < valid_steps, jnp.zeros_like(d_h)
        for place, slope in enumerate(slopes):
            slope = jnp.where(valid, slope, 0.0)
            d_z[t, :, place, :] = slope
            back += _dot(slope, u[place, :, :])
        return jnp.where(valid, d_cell * f, d_c), jnp.where(valid, back, d_h)

    d_c_first[:, :], d_h_first[:, :] = jax.lax.fori_loop(0, steps, body, (d_c_last[:, :], d_h_last[:, :]))


def _forward(reverse: bool, keep: bool, zx: Array, u: Array, c: Array, h: Array, lengths: Array) -> Leaves:
    """``[c_T, h_T, hs]``, and with ``keep`` the cs ``[T, B, H]``, gates ``[T, B, 4, H]`` and hs for the gradient."""
    shapes = [c.shape, c.shape, (len(zx), *c.shape), *([(len(zx), *c.shape), zx.shape] if keep else [])]
    results = _call(partial(_forward_program, steps=len(zx), reverse=reverse), shapes,
                    jnp.swapaxes(u, 0, 1), zx, c, h, lengths)  # fmt: skip
    return [*results, results[2]] if keep else list(results)


def _backward(reverse: bool, primals: Leaves, kept: Leaves, d: Leaves) -> Leaves:
    """The gradients of zx, u, c and h."""
    (zx, u, c, h, lengths), (cs, gates, hs) = primals, kept
    weights = jnp.transpose(u, (1, 2, 0))
    d_z, d_c, d_h = _call(partial(_backward_program, steps=len(zx), reverse=reverse), [zx.shape, c.shape, c.shape],
                          weights, cs, gates, c, lengths, *d)  # fmt: skip
    before = [hs[1:], h[None]] if reverse else [h[None], hs[:-1]]
    if reverse:  # the first step of reading is the last valid one, which follows h
        before[0] = jnp.where(jnp.arange(1, len(hs))[:, None, None] < lengths[:, None], before[0], h)
    return [d_z, jnp.einsum("tbk,tbgh->kgh", jnp.concatenate(before), d_z), d_c, d_h]


def _call(program: Any, shapes: list[tuple[int, ...]], weights: Array, *operands: Array) -> Leaves:
    """``program`` for every ``SEQUENCES`` of the batch: of all arrays but ``weights`` it gets the part of these."""

    def part(shape: tuple[int, ...]) -> pl.BlockSpec:
        batch = 1 if len(shape) > 2 else 0
        block = (*shape[:batch], SEQUENCES, *shape[batch + 1 :])
        return pl.BlockSpec(block, lambda number: tuple(number if axis == batch else 0 for axis in range(len(shape))))

    return pl.pallas_call(
        program,
        [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes],
        grid=(operands[-1].shape[1 if operands[-1].ndim > 2 else 0] // SEQUENCES,),
        in_specs=[pl.BlockSpec(weights.shape, lambda _: (0, 0, 0)), *(part(leaf.shape) for leaf in operands)],
        out_specs=[part(shape) for shape in shapes],
        **_backend(),
    )(weights, *operands)


def _backend() -> dict[str, Any]:
    if jax.default_backend() != "gpu":
        return {"interpret": True}
    from jax.experimental.pallas import triton

    return {"compiler_params": triton.CompilerParams(num_warps=WARPS, num_stages=1)}
