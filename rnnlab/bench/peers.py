"""Other people's training steps on the same work: the same model, optimizer and numbers. Imported late."""

import importlib.util
import os
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from rnnlab.bench.trainer import Trainer, jax_device, jax_peak
from rnnlab.bench.workloads import BATCH_SAMPLING, LEARNING_RATE, Work, random_batches


def torch(work: Work, runs: int, threads: int = 0, first: int = 0) -> Trainer:
    """PyTorch's ``nn.LSTM``, one run after another; ``threads`` of PyTorch's own, its default unless given.

    On a GPU if PyTorch has one. Fused optimizers where it has them. One-hot ids are made in the step, and multiplied:
    nn.LSTM takes nothing else. Its LSTM has two biases for each gate.
    """
    import torch
    from torch import nn

    if threads:
        torch.set_num_threads(threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    on_cpu = device.type == "cpu"

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(work.D, work.embedding_size) if work.embedding_size else None
            self.lstm = nn.LSTM(work.embedding_size or work.D, work.H)
            self.readout = nn.Linear(work.H, work.C)

        def forward(self, xs: Any) -> Any:
            if self.embedding is not None:
                xs = self.embedding(xs)
            elif work.ids:
                xs = nn.functional.one_hot(xs, work.D).float()
            hs, _ = self.lstm(xs)
            return self.readout(hs if work.per_step else hs[-1])

    def optimizer(net: nn.Module) -> Any:
        if work.optimizer == "rmsprop":
            return torch.optim.RMSprop(net.parameters(), LEARNING_RATE, alpha=0.9, eps=1e-7)
        if work.optimizer == "adam":
            return torch.optim.Adam(net.parameters(), LEARNING_RATE, eps=1e-8, fused=True)
        return torch.optim.Adagrad(
            net.parameters(), LEARNING_RATE, initial_accumulator_value=0.1, eps=1e-7, fused=on_cpu or None
        )

    trained = []
    for run in range(runs):
        torch.manual_seed(first + run)
        net = Net().to(device)
        trained.append((net, optimizer(net)))
    inputs, targets = random_batches(work, runs)
    xs = torch.from_numpy(np.ascontiguousarray(np.swapaxes(inputs, 2, 3))).to(device)  # time-major, its fast order
    xs = xs.long() if work.ids else xs
    last = np.ascontiguousarray(np.swapaxes(targets, 2, 3)) if work.per_step else targets
    ys = torch.from_numpy(last).to(device).long()
    parameters = sum(leaf.numel() for leaf in trained[0][0].parameters())

    def train(steps: int) -> float:
        losses = []
        for run, (net, update) in enumerate(trained):
            for step in range(steps):
                update.zero_grad(set_to_none=True)
                logits = net(xs[run][step % BATCH_SAMPLING])
                loss = nn.functional.cross_entropy(logits.flatten(0, -2), ys[run][step % BATCH_SAMPLING].flatten())
                loss.backward()
                update.step()
            losses.append(loss.detach())
        return float(torch.stack(losses).mean())  # waits for a GPU

    peak = None if on_cpu else lambda: torch.cuda.max_memory_allocated() / 1e6
    name = f"cpu, {torch.get_num_threads()} threads" if on_cpu else torch.cuda.get_device_name()
    return Trainer(train, parameters, name, peak)


def _flax(work: Work) -> tuple[Callable[..., Any], Callable[..., Any], int]:
    """``init(key)`` and the step of one run of ``linen.RNN(linen.OptimizedLSTMCell)``, and its number of parameters.

    Linen rather than NNX: its functions of (parameters, batch) are what jit and vmap take as they are.
    """
    import jax
    import optax
    from flax import linen as nn

    from rnnlab.cells.registry import count_parameters
    from rnnlab.train.optimizers import make_optimizer

    class Net(nn.Module):
        @nn.compact
        def __call__(self, xs: Any) -> Any:
            if work.embedding_size:
                xs = nn.Embed(work.D, work.embedding_size)(xs)
            elif work.ids:
                xs = jax.nn.one_hot(xs, work.D)
            hs: Any = nn.RNN(nn.OptimizedLSTMCell(work.H))(xs)
            return nn.Dense(work.C)(hs if work.per_step else hs[:, -1])

    net, optimizer = Net(), make_optimizer(work.optimizer, LEARNING_RATE)
    sample = random_batches(work, 1, 1)[0][0][0]

    def init(key: Any) -> Any:
        params = net.init(key, sample)
        return params, optimizer.init(params)

    def step(state: Any, xs: Any, ys: Any) -> tuple[Any, Any]:
        params, memory = state

        def mean_loss(params: Any) -> Any:
            return optax.softmax_cross_entropy_with_integer_labels(net.apply(params, xs), ys).mean()

        loss, gradient = jax.value_and_grad(mean_loss)(params)
        updates, memory = optimizer.update(gradient, memory, params)
        return (optax.apply_updates(params, updates), memory), loss

    return init, step, count_parameters(jax.eval_shape(init, jax.random.key(0))[0])


def _in_a_loop(work: Work, step: Callable[..., Any], states: list[Any], parameters: int) -> Trainer:
    """Run after run in a Python loop: ``step(state, xs, ys) -> (state, loss)``, jitted, its state donated."""
    import jax

    runs = len(states)
    inputs, targets = random_batches(work, runs)
    batches = [[jax.device_put((inputs[r, s], targets[r, s])) for s in range(BATCH_SAMPLING)] for r in range(runs)]
    jitted = jax.jit(step, donate_argnums=0)

    def train(steps: int) -> float:
        losses = []
        for run in range(runs):
            for number in range(steps):
                states[run], loss = jitted(states[run], *batches[run][number % BATCH_SAMPLING])
            losses.append(loss)
        jax.block_until_ready(states)
        return float(sum(losses) / runs)

    return Trainer(train, parameters, jax_device(jax.devices()[:1]), jax_peak(jax.devices()[:1]))


def flax_loop(work: Work, runs: int) -> Trainer:
    """Flax's ``nn.RNN``, a jitted step that donates its state, run after run in a Python loop; JAX's own devices."""
    import jax

    init, step, parameters = _flax(work)
    begin = jax.jit(init)
    states = [begin(jax.random.key(run)) for run in range(runs)]
    return _in_a_loop(work, step, states, parameters)


def flax_vmapped(work: Work, runs: int) -> Trainer:
    """The same step vmapped over all runs, each with its own batches, jitted, its state donated; on one device."""
    import jax

    init, step, parameters = _flax(work)
    # One after another: LAPACK's QR, vmapped, can wait for ever for the thread pool that it occupies.
    begin = jax.jit(init)
    states = [begin(jax.random.key(run)) for run in range(runs)]
    state = jax.tree.map(lambda *leaves: jax.numpy.stack(leaves), *states)
    del states
    inputs, targets = random_batches(work, runs)
    batches = [jax.device_put((inputs[:, s], targets[:, s])) for s in range(BATCH_SAMPLING)]
    jitted = jax.jit(jax.vmap(step), donate_argnums=0)

    def train(steps: int) -> float:
        nonlocal state
        for number in range(steps):
            state, losses = jitted(state, *batches[number % BATCH_SAMPLING])
        jax.block_until_ready(state)
        return float(losses.mean())

    return Trainer(train, parameters, jax_device(jax.devices()[:1]), jax_peak(jax.devices()[:1]))


def keras(work: Work, runs: int) -> Trainer:
    """Keras on JAX: a jitted stateless step, as its guide to custom training loops has it, run after run."""
    os.environ["KERAS_BACKEND"] = "jax"
    import jax
    import keras
    import optax

    entry = keras.Input((work.T,) if work.ids else (work.T, work.D), dtype="int32" if work.ids else "float32")
    xs = entry
    if work.embedding_size:
        xs = keras.layers.Embedding(work.D, work.embedding_size)(xs)
    elif work.ids:
        xs = keras.ops.one_hot(xs, work.D)
    hs = keras.layers.LSTM(work.H, return_sequences=work.per_step)(xs)
    model = keras.Model(entry, keras.layers.Dense(work.C)(hs))
    optimizer = {
        "rmsprop": lambda: keras.optimizers.RMSprop(LEARNING_RATE, rho=0.9, epsilon=1e-7),
        "adam": lambda: keras.optimizers.Adam(LEARNING_RATE, epsilon=1e-8),
        "adagrad": lambda: keras.optimizers.Adagrad(LEARNING_RATE, initial_accumulator_value=0.1, epsilon=1e-7),
    }[work.optimizer]()
    optimizer.build(model.trainable_variables)

    def step(state: Any, xs: Any, ys: Any) -> tuple[Any, Any]:
        weights, fixed, memory = state

        def mean_loss(weights: Any) -> Any:
            logits, after = model.stateless_call(weights, fixed, xs, training=True)
            return optax.softmax_cross_entropy_with_integer_labels(logits, ys).mean(), after

        (loss, after), gradient = jax.value_and_grad(mean_loss, has_aux=True)(weights)
        weights, memory = optimizer.stateless_apply(memory, gradient, weights)
        return (weights, after, memory), loss

    variables = (model.trainable_variables, model.non_trainable_variables, optimizer.variables)
    first = [[variable.value for variable in part] for part in variables]
    states = [jax.tree.map(jax.numpy.copy, first) for _ in range(runs)]
    parameters = sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)
    return _in_a_loop(work, step, states, parameters)


class Peer(NamedTuple):
    """A system beside ours."""

    train: Callable[..., Trainer]
    package: str  # that it needs
    about: str
    processes: bool = False  # one single-thread process a core


PEERS = {
    "torch": Peer(torch, "torch", "PyTorch nn.LSTM, one process, all threads"),
    "torch-processes": Peer(torch, "torch", "PyTorch nn.LSTM, a single-thread process a core", processes=True),
    "flax-loop": Peer(flax_loop, "flax", "flax nn.RNN, runs in a Python loop"),
    "flax-vmapped": Peer(flax_vmapped, "flax", "flax nn.RNN vmapped over the runs"),
    "keras": Peer(keras, "keras", "Keras on JAX, runs in a Python loop"),
}


def is_installed(name: str) -> bool:
    """Whether the peer can be imported."""
    return importlib.util.find_spec(PEERS[name].package) is not None
