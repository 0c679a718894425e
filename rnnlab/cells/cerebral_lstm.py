"""The Cerebral LSTM: two LSTM paths that share one hidden state."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from rnnlab.cells.initializers import get_initializer
from rnnlab.cells.ops import activation as make_activation
from rnnlab.cells.ops import check_paths, dot, gate_activation, keeps_f, leaves_named, zeros
from rnnlab.core.errors import InputError, choose
from rnnlab.core.types import Array, Cell, Key


class CerebralParams(NamedTuple):
    """Paths in the order upper, lower; gates in the order i, f, c~, o: ``w [D, P, 4, H]``, ``u [H, P, 4, H]``,
    ``b [P, 4, H]`` or None. P is 2, with ``paths="tied"`` 1."""

    w: Array
    u: Array
    b: Array | None


class CerebralCarry(NamedTuple):
    """``c [..., P, H]`` of the paths, ``h [..., H]`` shared."""

    c: Array
    h: Array


class CerebralGates(NamedTuple):
    """The gate values of a step, each ``[..., P, H]``."""

    i: Array
    f: Array
    candidate: Array
    o: Array


def _author(key: Key, inputs: int, hidden_size: int) -> tuple[Array, Array]:
    """Weights of one path ``[D, 4, H]``, ``[H, 4, H]`` as the author's package draws them.

    Per gate over [D+H, H]: Kaiming-normal (gain 1) for gates, Xavier-normal with gain 5/3 for the candidate. PyTorch
    takes the second axis as the fan-in, so a gate's standard deviation is 1/sqrt(H) for any D.
    """
    rows = inputs + hidden_size
    gate, candidate = hidden_size**-0.5, 5 / 3 * (2.0 / (rows + hidden_size)) ** 0.5
    weights = jax.random.normal(key, (rows, 4, hidden_size)) * jnp.array([gate, gate, candidate, gate])[:, None]
    return weights[:inputs], weights[inputs:]


def cerebral_lstm(
    hidden_size: int,
    *,
    paths: str = "independent",
    noise_std: float = 0.0,
    variant: str = "code",
    activation: str = "tanh",
    gate: str = "sigmoid",
    bias: bool = True,
    forget_bias: float = 0.0,
    input_bias: float = 0.0,
    w_init: str = "author",
    u_init: str = "author",
) -> Cell:
    """Two LSTM paths (upper U, lower L) that read the same x and h and add their outputs (Kumar 2020, section 4).

        i, f, o = s([h_{t-1}, x_t] W + b)      c~ = tanh([h_{t-1}, x_t] W + b)      each for U and L
        c_t = f * c_{t-1} + i * c~             variant="code", the author's package and README
        c_t = f * c~ + i * c~                  variant="printed", the paper: no memory in the cell state
        h_t = U_o * tanh(U_c) + L_o * tanh(L_c)

    ``paths`` sets their initial values (section 4.1): "independent" draws; "identical" values; or "noise", identical
    plus Gaussian noise of standard deviation ``noise_std`` on every weight and bias of the lower path. "tied" has one
    path whose output counts twice, which equals two identical paths in exact arithmetic. ``bias=False`` removes all
    biases; ``forget_bias`` and ``input_bias`` are the initial biases of f and i.

    Shapes: x [..., D], c [..., P, H], h [..., H].
    Departures: the package perturbs paths that happen to be drawn alike; here only ``paths="noise"`` does.
    """
    act, squash = make_activation(activation), gate_activation(gate)
    check_paths(paths, noise_std)
    printed = choose("variant", variant, ("code", "printed")) == "printed"
    if (w_init == "author") != (u_init == "author"):
        raise InputError(
            f"w_init: 'author' sets both w and u, and u_init is {u_init!r}; accepted: both 'author' or neither"
        )
    if w_init != "author":
        init_w, init_u = get_initializer("w_init", w_init), get_initializer("u_init", u_init)

    def draw(key: Key, inputs: int) -> CerebralParams:
        """One path."""
        key_w, key_u = jax.random.split(key)
        if w_init == "author":
            w, u = _author(key_w, inputs, hidden_size)
        else:
            w, u = init_w(key_w, (inputs, 4, hidden_size)), init_u(key_u, (hidden_size, 4, hidden_size))
        b = zeros(w, 4, hidden_size).at[1].set(forget_bias).at[0].set(input_bias) if bias else None
        return CerebralParams(w, u, b)

    def perturb(key: Key, path: CerebralParams) -> CerebralParams:
        key_w, key_u, key_b = jax.random.split(key, 3)
        keys = CerebralParams(key_w, key_u, key_b if bias else None)
        return jax.tree.map(lambda k, p: p + noise_std * jax.random.normal(k, p.shape, p.dtype), keys, path)

    def init(key: Key, inputs: int) -> CerebralParams:
        key_upper, key_lower = jax.random.split(key)
        upper = draw(key_upper, inputs)
        if paths == "tied":
            return CerebralParams(upper.w[:, None], upper.u[:, None], None if upper.b is None else upper.b[None])
        lower = draw(key_lower, inputs) if paths == "independent" else upper
        if paths == "noise":
            lower = perturb(key_lower, upper)
        return CerebralParams(
            jnp.stack([upper.w, lower.w], 1),
            jnp.stack([upper.u, lower.u], 1),
            None if upper.b is None or lower.b is None else jnp.stack([upper.b, lower.b]),
        )

    def initial_carry(params: CerebralParams, batch: tuple[int, ...]) -> CerebralCarry:
        return CerebralCarry(
            zeros(params.u, *batch, params.u.shape[1], hidden_size), zeros(params.u, *batch, hidden_size)
        )

    def gates(params: CerebralParams, carry: CerebralCarry, x: Array) -> CerebralGates:
        z = dot(x, params.w) + dot(carry.h, params.u)  # [..., P, 4, H]
        z = z if params.b is None else z + params.b
        return CerebralGates(squash(z[..., 0, :]), squash(z[..., 1, :]), act(z[..., 2, :]), squash(z[..., 3, :]))

    def step(params: CerebralParams, carry: CerebralCarry, x: Array) -> tuple[CerebralCarry, Array]:
        i, f, candidate, o = gates(params, carry, x)
        c = f * (candidate if printed else carry.c) + i * candidate
        h = jnp.sum(o * act(c), axis=-2) * (2 / c.shape[-2])
        return CerebralCarry(c, h), h

    return Cell(
        init,
        initial_carry,
        step,
        hidden_size,
        gates=gates,
        paths=path_vectors,
        retention=None if printed else keeps_f,
        no_decay=leaves_named("b"),
    )


def path_vectors(params: CerebralParams) -> list[Array]:
    """All parameters of each path as one vector."""
    leaves = [jnp.moveaxis(leaf, 1, 0) for leaf in (params.w, params.u)] + ([] if params.b is None else [params.b])
    return [jnp.concatenate([leaf[path].ravel() for leaf in leaves]) for path in range(len(leaves[0]))]
