r"""LSTM1 to LSTM5 against the LSTM on row-wise MNIST.

Paper:     Akandeh & Salem, Simplified Long Short-term Memory Recurrent Neural Networks: part I, 2017.
Task:      a 28x28 image read row by row, 28 steps; softmax on the last h; categorical cross-entropy.
Settings:  100 hidden units, RMSprop, learning rates 1e-4, 1e-3, 2e-3, batch 32, 100 epochs; activation tanh, sigmoid
           or relu in both places; logistic gates. Built on Keras, so: Keras's initial values (Glorot-uniform and
           orthogonal over all gates together, forget bias 1).
Numbers:   the paper prints the best test accuracy over the 100 epochs (Tables 3-5), one run each. That number stands
           here under its own name, best_test_accuracy_over_epochs, and beside it the honest one: test accuracy at the
           epoch that is best on validation.
Departures: 5,000 of the 60,000 training images are held out for validation; several seeds instead of one run.

Command:   python -m experiments run mnist_slim          18 arms x 3 rates x 4 seeds x 100 epochs: days on two cores
A taste:   python -m experiments run mnist_slim --arms lstm-tanh,lstm3-tanh --seeds 8 --epochs 3 \
               --set learning_rate=1e-3
Expected:  the paper's numbers, Tables 3 to 5, are in PUBLISHED.
"""

from rnnlab.config import Arm, Config

CELLS = ("lstm", "lstm1", "lstm2", "lstm3", "lstm4", "lstm5")
RATES = (1e-4, 1e-3, 2e-3)
KERAS = {"w_init": "keras_glorot_uniform", "u_init": "keras_orthogonal"}

# Tables 3 (tanh), 4 (sigmoid) and 5 (relu): best test accuracy, a row a cell, a column a learning rate.
TABLES = {
    "tanh": (
        (0.9853, 0.9909, 0.9903),
        (0.9828, 0.9906, 0.9907),
        (0.9849, 0.9897, 0.9897),
        (0.9781, 0.9827, 0.9860),
        (0.9734, 0.9853, 0.9834),
        (0.9774, 0.9835, 0.9859),
    ),
    "sigmoid": (
        (0.9739, 0.9880, 0.9886),
        (0.9635, 0.9863, 0.9858),
        (0.9660, 0.9856, 0.9858),
        (0.8757, 0.9796, 0.9834),
        (0.8466, 0.9781, 0.9822),
        (0.9431, 0.9829, 0.9844),
    ),
    "relu": (
        (0.9824, 0.9843, 0.9833),
        (0.9803, 0.9832, 0.9806),
        (0.9802, 0.9805, 0.9836),
        (0.9808, 0.9882, 0.9900),
        (0.9796, 0.9857, 0.9847),
        (0.9807, 0.9885, 0.9892),
    ),
}

PUBLISHED = {
    (f"{cell}-{activation}", rate): value
    for activation, rows in TABLES.items()
    for cell, row in zip(CELLS, rows, strict=True)
    for rate, value in zip(RATES, row, strict=True)
}

CONFIG = Config(
    experiment="mnist_slim",
    arms={
        f"{cell}-{activation}": Arm(cell, options={"activation": activation, **KERAS})
        for activation in TABLES
        for cell in CELLS
    },
    data="mnist",
    seeds=(0, 1, 2, 3),
    epochs=100,
    batch=32,
    hidden=100,
    optimizer="rmsprop",
    learning_rate=RATES,
    keep_every=10,
)

QUICK = {"data": "digits", "seeds": (0, 1), "epochs": 2, "hidden": 16, "learning_rate": (1e-3,)}
