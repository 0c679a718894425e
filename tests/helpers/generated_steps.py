"""Steps drawn at random, and the law that they keep: values and derivatives are those of `jax.lax.scan`.

By hand, in float64: ``JAX_ENABLE_X64=1 python -m tests.helpers.generated_steps COUNT SEED``.
"""

import contextlib
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rnnlab.cells.weight_gradients import plain_scan, scan

T, B, D, H, ROWS = 3, 2, 3, 2, 4
GENERATORS = ("threefry2x32", "rbg", "unsafe_rbg")
ORDERS = ("reverse", "forward", "reverse over reverse", "forward over reverse", "reverse over forward")
MASK = np.array([[1.0, 0.0], [0.5, 2.0]])
SHAPES = {
    "w": (D, H), "u": (H, H), "gates": (H, 3 * H), "table": (ROWS, H), "p": (H,), "b": (H,), "low": (H, 1),
    "deep": (2, H, H), "scale": (),
}  # fmt: skip

Value = Any


@jax.custom_vjp
def clipped(v: Value) -> Value:
    """The identity, whose gradient is clipped: not linear in the cotangent."""
    return v


clipped.defvjp(lambda v: (v, None), lambda _, d: (jnp.clip(d, -0.3, 0.3),))


@jax.custom_jvp
def doubled_slope(v: Value) -> Value:
    return jnp.sin(v)


doubled_slope.defjvp(lambda primals, tangents: (jnp.sin(primals[0]), 2 * jnp.cos(primals[0]) * tangents[0]))


@jax.jit
def masked(v: Value) -> Value:
    return v * jnp.asarray(MASK)


def unit(v: Value) -> Value:
    return v / jnp.sqrt(1e-2 + jnp.sum(v * v, -1, keepdims=True))


def looped(body: Callable[[Value], Value], v: Value) -> Value:
    return jax.lax.scan(lambda c, _: (body(c), None), v, None, length=2)[0]


def dropped(key: Value, v: Value) -> Value:
    return jnp.where(jax.random.bernoulli(key, 0.5, v.shape), v * 2, 0)


# (value [B, H], another value, parameters, x, integer carry [B], gain from outside, key from outside) -> [B, H]
OPERATIONS: dict[str, Callable[..., Value]] = {
    "product": lambda v, o, p, x, n, g, k: v @ p["u"],
    "transposed": lambda v, o, p, x, n, g, k: v @ p["u"].T,
    "from the left": lambda v, o, p, x, n, g, k: (p["u"] @ v.T).T,
    "einsum": lambda v, o, p, x, n, g, k: jnp.einsum("bh,kh->bk", v, p["u"]),
    "bilinear": lambda v, o, p, x, n, g, k: jnp.einsum("bh,bk,nhk->bn", v, o, p["deep"]),
    "input": lambda v, o, p, x, n, g, k: x["x"] @ p["w"] + p["b"],
    "made of input": lambda v, o, p, x, n, g, k: jnp.tanh(x["x"] * p["scale"] + x["x"] ** 2) @ p["w"],
    "gathered": lambda v, o, p, x, n, g, k: p["table"][x["id"]],
    "gathered by the carry": lambda v, o, p, x, n, g, k: p["table"][n % ROWS] * v,
    "gathered from a product": lambda v, o, p, x, n, g, k: (p["table"] @ p["u"])[x["id"]],
    "embedded": lambda v, o, p, x, n, g, k: p["table"][x["id"]] @ p["u"] + v,
    "embedded in products": lambda v, o, p, x, n, g, k: gated(p["table"][x["id"]] @ p["gates"], v) @ p["u"].T,
    "embedded by an outer product": lambda v, o, p, x, n, g, k: jnp.outer(p["p"], g)[x["id"] % H] @ p["u"] * o,
    "dynamic slice": lambda v, o, p, x, n, g, k: jax.lax.dynamic_slice(p["table"], (n[0] % 2, 0), (B, H)),
    "vector": lambda v, o, p, x, n, g, k: v * p["p"] + p["b"],
    "vector of the input": lambda v, o, p, x, n, g, k: x["x"][:, :H] * p["p"],
    "bias": lambda v, o, p, x, n, g, k: v + p["b"],
    "scalar": lambda v, o, p, x, n, g, k: v * p["scale"],
    "gates": lambda v, o, p, x, n, g, k: gated(v @ p["gates"], o),
    "sliced": lambda v, o, p, x, n, g, k: v @ p["gates"][:, H : 2 * H] + o @ p["deep"][1],
    "normalised weight": lambda v, o, p, x, n, g, k: v @ unit(p["u"]),
    "tied": lambda v, o, p, x, n, g, k: (v @ p["u"]) @ p["u"].T,
    "powers": lambda v, o, p, x, n, g, k: v @ (p["u"] @ p["u"]),
    "inverse": lambda v, o, p, x, n, g, k: v @ jnp.linalg.inv(3 * jnp.eye(H, dtype=p["u"].dtype) + p["u"]),
    "low rank": lambda v, o, p, x, n, g, k: v @ p["low"] @ p["low"].T,
    "attention": lambda v, o, p, x, n, g, k: jax.nn.softmax(v @ p["table"].T) @ p["table"],
    "conditional": lambda v, o, p, x, n, g, k: jax.lax.cond(
        v[0, 0] > 0, lambda v: jnp.tanh(v @ p["u"]), lambda v: v * p["p"], v
    ),
    "conditional weight": lambda v, o, p, x, n, g, k: v @ jax.lax.cond(
        p["scale"] > 0, lambda u: u.T, lambda u: jnp.sin(u), p["u"]
    ),
    "loop": lambda v, o, p, x, n, g, k: looped(lambda c: jnp.sin(c @ p["u"] + p["b"]), v),
    "loop over weights": lambda v, o, p, x, n, g, k: jax.lax.scan(lambda c, w: (jnp.tanh(c @ w), c), v, p["deep"])[0],
    "loop on a weight": lambda v, o, p, x, n, g, k: v @ looped(jnp.sin, p["u"]),
    "clipped gradient": lambda v, o, p, x, n, g, k: clipped(v @ p["u"]),
    "clipped weight": lambda v, o, p, x, n, g, k: v @ clipped(p["u"]),
    "clipped table": lambda v, o, p, x, n, g, k: clipped(p["table"])[x["id"]],
    "clipped bias": lambda v, o, p, x, n, g, k: v @ p["u"] + clipped(p["b"]),
    "clipped factor": lambda v, o, p, x, n, g, k: clipped(v) @ p["u"],
    "clipped input": lambda v, o, p, x, n, g, k: clipped(x["x"]) @ p["w"],
    "clipped in a loop": lambda v, o, p, x, n, g, k: v @ looped(clipped, p["u"]),
    "custom slope": lambda v, o, p, x, n, g, k: doubled_slope(v @ p["u"]),
    "custom slope of a weight": lambda v, o, p, x, n, g, k: v @ doubled_slope(p["u"]),
    "custom slope of the input": lambda v, o, p, x, n, g, k: doubled_slope(x["x"]) @ p["w"],
    "stopped factor": lambda v, o, p, x, n, g, k: jax.lax.stop_gradient(v) @ p["u"],
    "stopped weight": lambda v, o, p, x, n, g, k: v @ jax.lax.stop_gradient(p["u"]) + p["b"],
    "stopped input": lambda v, o, p, x, n, g, k: jax.lax.stop_gradient(x["x"]) @ p["w"],
    "dropout": lambda v, o, p, x, n, g, k: dropped(x["key"], v) @ p["u"],
    "input dropout": lambda v, o, p, x, n, g, k: dropped(x["key"], x["x"]) @ p["w"],
    "weight dropout": lambda v, o, p, x, n, g, k: v @ dropped(k, p["u"]),
    "weight dropout by step": lambda v, o, p, x, n, g, k: v @ dropped(x["key"], p["u"]),
    "noise": lambda v, o, p, x, n, g, k: v + p["p"] * jax.random.normal(jax.random.fold_in(k, n[0]), v.shape),
    "constant": lambda v, o, p, x, n, g, k: masked(v @ p["u"]),
    "constant of a weight": lambda v, o, p, x, n, g, k: v @ masked(p["u"]),
    "constant factor": lambda v, o, p, x, n, g, k: v * (jnp.asarray(MASK) @ p["u"]),
    "closure": lambda v, o, p, x, n, g, k: (v * g) @ p["u"],
    "closure as weight": lambda v, o, p, x, n, g, k: v @ jnp.outer(g, g) + g,
    "checkpointed": lambda v, o, p, x, n, g, k: jax.checkpoint(lambda v: jnp.tanh(v @ p["u"]))(v),
    "batched": lambda v, o, p, x, n, g, k: jax.vmap(lambda row: jnp.tanh(p["u"] @ row))(v),
    "sum of products": lambda v, o, p, x, n, g, k: v @ p["u"] + x["x"] @ p["w"] + o * p["p"] + p["b"],
    "twice": lambda v, o, p, x, n, g, k: (z := v @ p["u"] + p["b"]) * jnp.sin(z) + z,
    "selected": lambda v, o, p, x, n, g, k: jnp.where(v > 0, v @ p["u"], o),
    "narrow": lambda v, o, p, x, n, g, k: (v.astype(jnp.float32) @ p["u"].astype(jnp.float32)).astype(v.dtype),
    "other": lambda v, o, p, x, n, g, k: v * o,
}  # fmt: skip
SQUASHES = (jnp.tanh, jax.nn.sigmoid, jnp.sin, jax.nn.softplus, jax.nn.relu, unit, lambda v: v)
NARROW = ("narrow",)


def gated(z: Value, v: Value) -> Value:
    i, f, c = jnp.split(z, 3, axis=-1)
    return jax.nn.sigmoid(f) * v + jax.nn.sigmoid(i) * jnp.tanh(c)


def drawn_step(names: list[str], draw: np.random.Generator) -> Callable[..., Any]:
    """A step that makes a value with each operation of ``names`` in turn, from values that are there already."""
    plan = [(name, draw.integers(99, size=2), SQUASHES[draw.integers(len(SQUASHES))]) for name in names]

    def step(gain: Value, key: Value, params: Value, carry: Value, x: Value) -> Any:
        wide, narrow, n = carry["h"], carry["nested"][0], carry["nested"][1]
        values = [wide, narrow.astype(wide.dtype)]
        for name, places, squash in plan:
            v, other = (values[place % len(values)] for place in places)
            values.append(squash(OPERATIONS[name](v, other, params, x, n, gain, key)))
        h = jnp.tanh(values[-1] + 0.5 * values[-2])
        return {"h": h, "nested": (jnp.sin(values[-1]).astype(narrow.dtype), n + 1)}, (h * values[-1], n)

    return step


def drawn_case(seed: int, names: list[str] | None = None, order: str | None = None) -> dict[str, Any]:
    """A step, its arguments and what is derived: drawn from ``seed`` unless given."""
    draw = np.random.default_rng(seed)
    names = names or [str(name) for name in draw.choice(list(OPERATIONS), size=draw.integers(1, 5))]
    order = order or str(draw.choice(ORDERS, p=(0.5, 0.125, 0.125, 0.125, 0.125)))
    if order not in ("reverse", "reverse over reverse", "forward over reverse"):  # custom_vjp has no forward mode
        names = [name for name in names if not name.startswith("clipped")] or ["product"]
    mixed = bool(draw.integers(4) == 0)
    generator = str(draw.choice(GENERATORS))
    arrays = {name: 0.6 * draw.standard_normal(shape) for name, shape in SHAPES.items()}
    keys = jax.random.split(jax.random.key(int(draw.integers(2**30)), impl=generator), T + 1)
    return {
        "names": names, "order": order, "generator": generator, "step": drawn_step(names, draw),
        "narrow": mixed or any(name in NARROW for name in names), "reverse": bool(draw.integers(2)),
        "keys": keys[:T], "key": keys[T], "id": draw.integers(ROWS, size=(T, B)), "n": np.arange(B),
        "floats": [
            jax.tree.map(jnp.asarray, arrays), jnp.asarray(draw.standard_normal((B, H))),
            jnp.asarray(draw.standard_normal((B, H)), jnp.float32 if mixed else None),
            jnp.asarray(draw.standard_normal((T, B, D))), jnp.asarray(1 + 0.3 * draw.standard_normal(H)),
        ],
    }  # fmt: skip


def results(case: dict[str, Any], over_time: Callable[..., Any]) -> Any:
    """Values and derivatives of a case, of the order that it asks for."""

    def loss(floats: Any) -> Any:
        params, h, narrow, xs, gain = floats
        inputs = {"x": xs, "id": jnp.asarray(case["id"]), "key": case["keys"]}
        carry = {"h": h, "nested": (narrow, jnp.asarray(case["n"]))}
        step = partial(case["step"], gain, case["key"])
        after, (out, counts) = over_time(step, params, carry, inputs, reverse=case["reverse"])
        weights = jnp.cos(jnp.arange(out.size, dtype=out.dtype)).reshape(out.shape)
        total = jnp.sum(weights * out) + jnp.sum(after["h"] ** 2) + jnp.sum(after["nested"][0].astype(h.dtype))
        return total, (out, after, counts)

    def alone(floats: Any) -> Any:
        return loss(floats)[0]

    def squared_gradient(floats: Any) -> Any:
        return sum(jnp.sum(jnp.sin(d) * d).astype(floats[1].dtype) for d in jax.tree.leaves(jax.grad(alone)(floats)))

    floats = case["floats"]
    along = jax.tree.map(
        lambda leaf: jnp.sin(1.0 + jnp.arange(leaf.size)).reshape(leaf.shape).astype(leaf.dtype), floats
    )
    if case["order"] == "reverse":
        return jax.value_and_grad(loss, has_aux=True)(floats)
    if case["order"] == "forward":
        return jax.jvp(alone, (floats,), (along,))
    if case["order"] == "reverse over reverse":
        return jax.value_and_grad(squared_gradient)(floats)
    if case["order"] == "forward over reverse":
        return jax.jvp(jax.grad(alone), (floats,), (along,))
    return jax.grad(lambda floats: jax.jvp(alone, (floats,), (along,))[1])(floats)


def check(case: dict[str, Any], *, compiled: bool = False) -> None:
    """Raise AssertionError unless the two scans agree, compiled (seconds a case) or step by step."""
    with contextlib.nullcontext() if compiled else jax.disable_jit():
        ours, plain = (
            (jax.jit(partial(results, case, s)) if compiled else partial(results, case, s))()
            for s in (scan, plain_scan)
        )
    what = f"{case['order']} of {case['names']}, keys {case['generator']}"
    for mine, wanted in zip(jax.tree.leaves(ours), jax.tree.leaves(plain), strict=True):
        assert mine.dtype == wanted.dtype, what
        wide = mine.dtype == jnp.float64 and not case["narrow"]
        np.testing.assert_allclose(mine, wanted, rtol=1e-8 if wide else 2e-3, atol=1e-9 if wide else 2e-3, err_msg=what)


def main(count: int, seed: int) -> int:
    """Check ``count`` cases from ``seed`` on; print what fails and how many kept the law."""
    failures = 0
    for n in range(seed, seed + count):
        case = drawn_case(n)
        try:
            check(case, compiled=n % 20 == 0)
        except Exception as error:
            failures += 1
            print(
                f"seed {n}: {case['order']} of {case['names']}: {type(error).__name__}: {str(error)[:300]}", flush=True
            )
        if n % 50 == 0:
            print(f"{n - seed + 1} done, {failures} failed", flush=True)
    print(f"{count - failures} of {count} agree with the plain scan")
    return failures


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    sys.exit(bool(main(int(sys.argv[1]), int(sys.argv[2]))))
