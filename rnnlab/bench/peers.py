"""Training steps of other libraries on the same workload, with the same model, optimizer and hyperparameters."""

import importlib.util
import os
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from rnnlab.bench.trainer import Trainer, jax_device, jax_peak
from rnnlab.bench.workloads import BATCHES, LEARNING_RATE, Workload, random_batches


def torch(workload: Workload, runs: int, threads: int = 0, first: int = 0) -> Trainer:
    """PyTorch's ``nn.LSTM``, one run after another, with ``threads`` threads (0: PyTorch's default).

    Uses a GPU if PyTorch has one, and fused optimizers where available. Ids are converted to one-hot rows in the step,
    since nn.LSTM takes no ids. The LSTM has two biases per gate. ``first``: the seed of the first run.
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
            self.embedding = nn.Embedding(workload.D, workload.embedding_size) if workload.embedding_size else None
            self.lstm = nn.LSTM(workload.embedding_size or workload.D, workload.H)
            self.readout = nn.Linear(workload.H, workload.C)

        def forward(self, xs: Any) -> Any:
            if self.embedding is not None:
                xs = self.embedding(xs)
            elif workload.ids:
                xs = nn.functional.one_hot(xs, workload.D).float()
            hs, _ = self.lstm(xs)
            return self.readout(hs if workload.per_step else hs[-1])

    def optimizer(net: nn.Module) -> Any:
        if workload.optimizer == "rmsprop":
            return torch.optim.RMSprop(net.parameters(), LEARNING_RATE, alpha=0.9, eps=1e-7)
        if workload.optimizer == "adam":
            return torch.optim.Adam(net.parameters(), LEARNING_RATE, eps=1e-8, fused=True)
        return torch.optim.Adagrad(
            net.parameters(), LEARNING_RATE, initial_accumulator_value=0.1, eps=1e-7, fused=on_cpu or None
        )

    trained = []
    for run in range(runs):
        torch.manual_seed(first + run)
        net = Net().to(device)
        trained.append((net, optimizer(net)))
    inputs, targets = random_batches(workload, runs)
    xs = torch.from_numpy(np.ascontiguousarray(np.swapaxes(inputs, 2, 3))).to(
        device
    )  # time-major, which nn.LSTM prefers
    xs = xs.long() if workload.ids else xs
    last = np.ascontiguousarray(np.swapaxes(targets, 2, 3)) if workload.per_step else targets
    ys = torch.from_numpy(last).to(device).long()
    parameters = sum(leaf.numel() for leaf in trained[0][0].parameters())

    def train_steps(steps: int) -> float:
        losses = []
        for run, (net, update) in enumerate(trained):
            for step in range(steps):
                update.zero_grad(set_to_none=True)
                logits = net(xs[run][step % BATCHES])
                loss = nn.functional.cross_entropy(logits.flatten(0, -2), ys[run][step % BATCHES].flatten())
                loss.backward()
                update.step()
            losses.append(loss.detach())
        return float(torch.stack(losses).mean())  # waits for a GPU

    peak = None if on_cpu else lambda: torch.cuda.max_memory_allocated() / 1e6
    name = f"cpu, {torch.get_num_threads()} threads" if on_cpu else torch.cuda.get_device_name()
    return Trainer(train_steps, parameters, name, peak)


def _flax(workload: Workload) -> tuple[Callable[..., Any], Callable[..., Any], int]:
    """``init(key)`` and the training step of ``linen.RNN(linen.OptimizedLSTMCell)``, and its number of parameters.

    Linen rather than NNX: jit and vmap apply directly to its functions of (parameters, batch).
    """
    import jax
    import optax
    from flax import linen as nn

    from rnnlab.cells.registry import count_parameters
    from rnnlab.training.optimizers import make_optimizer

    class Net(nn.Module):
        @nn.compact
        def __call__(self, xs: Any) -> Any:
            if workload.embedding_size:
                xs = nn.Embed(workload.D, workload.embedding_size)(xs)
            elif workload.ids:
                xs = jax.nn.one_hot(xs, workload.D)
            hs: Any = nn.RNN(nn.OptimizedLSTMCell(workload.H))(xs)
            return nn.Dense(workload.C)(hs if workload.per_step else hs[:, -1])

    net, optimizer = Net(), make_optimizer(workload.optimizer, LEARNING_RATE)
    sample = random_batches(workload, 1, 1)[0][0][0]

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


def _in_a_loop(workload: Workload, step: Callable[..., Any], states: list[Any], parameters: int) -> Trainer:
    """One run after another in a Python loop: ``step(state, xs, ys) -> (state, loss)``, jitted with donated state."""
    import jax

    runs = len(states)
    inputs, targets = random_batches(workload, runs)
    batches = [[jax.device_put((inputs[r, s], targets[r, s])) for s in range(BATCHES)] for r in range(runs)]
    jitted = jax.jit(step, donate_argnums=0)

    def train_steps(steps: int) -> float:
        losses = []
        for run in range(runs):
            for number in range(steps):
                states[run], loss = jitted(states[run], *batches[run][number % BATCHES])
            losses.append(loss)
        jax.block_until_ready(states)
        return float(sum(losses) / runs)

    return Trainer(train_steps, parameters, jax_device(jax.devices()[:1]), jax_peak(jax.devices()[:1]))


def flax_loop(workload: Workload, runs: int) -> Trainer:
    """Flax's ``nn.RNN``: a jitted step with donated state, one run after another in a Python loop."""
    import jax

    init, step, parameters = _flax(workload)
    begin = jax.jit(init)
    states = [begin(jax.random.key(run)) for run in range(runs)]
    return _in_a_loop(workload, step, states, parameters)


def flax_vmapped(workload: Workload, runs: int) -> Trainer:
    """The same step vmapped over all runs, each with its own batches, jitted with donated state, on one device."""
    import jax

    init, step, parameters = _flax(workload)
    # One after another: a vmapped LAPACK QR can deadlock on the thread pool that it occupies.
    begin = jax.jit(init)
    states = [begin(jax.random.key(run)) for run in range(runs)]
    state = jax.tree.map(lambda *leaves: jax.numpy.stack(leaves), *states)
    del states
    inputs, targets = random_batches(workload, runs)
    batches = [jax.device_put((inputs[:, s], targets[:, s])) for s in range(BATCHES)]
    jitted = jax.jit(jax.vmap(step), donate_argnums=0)

    def train_steps(steps: int) -> float:
        nonlocal state
        for number in range(steps):
            state, losses = jitted(state, *batches[number % BATCHES])
        jax.block_until_ready(state)
        return float(losses.mean())

    return Trainer(train_steps, parameters, jax_device(jax.devices()[:1]), jax_peak(jax.devices()[:1]))


def keras(workload: Workload, runs: int) -> Trainer:
    """Keras on JAX: a jitted stateless step, as in its guide to custom training loops, one run after another."""
    os.environ["KERAS_BACKEND"] = "jax"
    import jax
    import keras
    import optax

    entry = keras.Input(
        (workload.T,) if workload.ids else (workload.T, workload.D), dtype="int32" if workload.ids else "float32"
    )
    xs = entry
    if workload.embedding_size:
        xs = keras.layers.Embedding(workload.D, workload.embedding_size)(xs)
    elif workload.ids:
        xs = keras.ops.one_hot(xs, workload.D)
    hs = keras.layers.LSTM(workload.H, return_sequences=workload.per_step)(xs)
    model = keras.Model(entry, keras.layers.Dense(workload.C)(hs))
    optimizer = {
        "rmsprop": lambda: keras.optimizers.RMSprop(LEARNING_RATE, rho=0.9, epsilon=1e-7),
        "adam": lambda: keras.optimizers.Adam(LEARNING_RATE, epsilon=1e-8),
        "adagrad": lambda: keras.optimizers.Adagrad(LEARNING_RATE, initial_accumulator_value=0.1, epsilon=1e-7),
    }[workload.optimizer]()
    optimizer.build(model.trainable_variables)

    def step(state: Any, xs: Any, ys: Any) -> tuple[Any, Any]:
        weights, fixed, memory = state

        def mean_loss(weights: Any) -> Any:
            logits, after = model.stateless_call(weights, fixed, xs, training=True)
            return optax.softmax_cross_entropy_with_integer_labels(logits, ys).mean(), after

        (loss, after), gradient = jax.value_and_grad(mean_loss, has_aux=True)(weights)
        weights, memory = optimizer.stateless_apply(memory, gradient, weights)
        return (weights, after, memory), loss

    parts = (model.trainable_variables, model.non_trainable_variables, optimizer.variables)
    first = [[variable.value for variable in part] for part in parts]
    states = [jax.tree.map(jax.numpy.copy, first) for _ in range(runs)]
    parameters = sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)
    return _in_a_loop(workload, step, states, parameters)


class Peer(NamedTuple):
    """A system that is compared with rnnlab."""

    make: Callable[..., Trainer]
    package: str  # that must be installed
    about: str
    processes: bool = False  # one single-threaded process per core


PEERS = {
    "torch": Peer(torch, "torch", "PyTorch nn.LSTM, one process, all threads"),
    "torch-processes": Peer(torch, "torch", "PyTorch nn.LSTM, a single-threaded process per core", processes=True),
    "flax-loop": Peer(flax_loop, "flax", "flax nn.RNN, runs in a Python loop"),
    "flax-vmapped": Peer(flax_vmapped, "flax", "flax nn.RNN vmapped over the runs"),
    "keras": Peer(keras, "keras", "Keras on JAX, runs in a Python loop"),
}


def is_installed(name: str) -> bool:
    """Whether the peer can be imported."""
    return importlib.util.find_spec(PEERS[name].package) is not None
