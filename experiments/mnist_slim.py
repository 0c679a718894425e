r"""LSTM1 to LSTM5 against the LSTM on row-wise MNIST.

Paper:     Akandeh & Salem, Simplified Long Short-term Memory Recurrent Neural Networks: part I, 2017.
Task:      a 28x28 image read row by row, 28 steps; softmax on the last h; categorical cross-entropy.
Settings:  100 hidden units, RMSprop, learning rates 1e-4, 1e-3, 2e-3, batch size 32, 100 epochs; activation tanh,
           sigmoid or relu in both places; logistic gates. The paper used Keras, so initialization is Keras's
           (Glorot-uniform, orthogonal over all gates together, forget bias 1).
Not given: initial values and forget bias (Keras's), initial values of u in LSTM4 and LSTM5 (Glorot), the scale of
           pixels (1/255), RMSprop's decay and epsilon (0.9, 1e-7).
Numbers:   the paper reports the best test accuracy over the 100 epochs (Tables 3-5), one run each. Here this number is
           called best_test_accuracy_over_epochs, next to the unbiased one: test accuracy at the epoch with the best
           validation result.
Protocols (--set protocol=NAME): held_out (default), 5,000 of the 60,000 training images are held out for validation;
           validate_on_test, as in the paper: all 60,000, and the best epoch and learning rate are chosen on test;
           pilot, the same claims about 8x8 digits with 24 units and 40 epochs, which takes minutes.
Departures: several seeds instead of one run; the incomplete last batch of an epoch is left out.
Claims:    `claims` below: each with its sentence, its test and the margin. The accuracy of a run is that at the epoch
           of its best validation accuracy (in validate_on_test, the best on test), the learning rate of a cell the best
           by the same. A diverged run counts as chance, 10 %.

Command:   python -m experiments run mnist_slim          18 arms x 3 rates x 8 seeds x 100 epochs: days on two cores
           python -m experiments bench --cells lstm1,lstm2,lstm3,lstm4,lstm5 --out DIR/bench       times, for A5
Short run: python -m experiments run mnist_slim --arms lstm-tanh,lstm3-tanh --seeds 8 --epochs 3 \
               --set learning_rate=1e-3
Expected:  the paper's numbers, Tables 3 to 5, are in PUBLISHED.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rnnlab.config.experiment import Arm, Config

if TYPE_CHECKING:
    from rnnlab.claims import Claim, Evidence, Rule
    from rnnlab.stats.summary import Group

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

# The train rows of the same tables.
TRAIN = {
    "tanh": (
        (0.9995, 1.0000, 0.9994), (0.9993, 0.9999, 0.9996), (0.999, 0.9997, 0.9995),
        (0.9889, 0.9977, 0.9983), (0.9785, 0.9975, 0.9958), (0.9898, 0.9985, 0.9983),
    ),
    "sigmoid": (
        (0.9751, 0.9972, 0.9978), (0.9584, 0.9901, 0.9905), (0.9636, 0.9901, 0.9907),
        (0.8721, 0.9787, 0.9828), (0.8439, 0.9793, 0.9839), (0.9438, 0.9849, 0.9879),
    ),
    "relu": (
        (0.9932, 0.9829, 0.9787), (0.9926, 0.9824, 0.9758), (0.9896, 0.9795, 0.98),
        (0.9865, 0.9967, 0.9968), (0.9808, 0.9916, 0.9918), (0.987, 0.9962, 0.9964),
    ),
}  # fmt: skip


def _by_arm(tables: Mapping[str, Sequence[Sequence[float]]]) -> dict[tuple[str, float], float]:
    return {
        (f"{cell}-{activation}", rate): value
        for activation, rows in tables.items()
        for cell, row in zip(CELLS, rows, strict=True)
        for rate, value in zip(RATES, row, strict=True)
    }


PUBLISHED = _by_arm(TABLES)
ALSO_PUBLISHED = {"best_train_accuracy_over_epochs": _by_arm(TRAIN)}

CONFIG = Config(
    experiment="mnist_slim",
    arms={
        f"{cell}-{activation}": Arm(cell, options={"activation": activation, **KERAS})
        for activation in TABLES
        for cell in CELLS
    },
    data="mnist",
    protocol="held_out",
    seeds=tuple(range(8)),
    epochs=100,
    batch_size=32,
    hidden_size=100,
    optimizer="rmsprop",
    learning_rate=RATES,
    keep_params_every=10,
)

PROTOCOLS = {
    "held_out": {},
    "validate_on_test": {"data_options": {"validation": "test"}},
    "pilot": {"data": "digits", "hidden_size": 24, "epochs": 40},
}

QUICK = {"data": "digits", "seeds": (0, 1), "epochs": 2, "hidden_size": 16, "learning_rate": (1e-3,)}

CLOSE = 0.01  # the paper calls 98.60 close to 99.09 %, and 98.34 to 98.86 %: twice these differences is the margin
DROP = 0.01  # of test accuracy from its best: a hundred images; the paper's Fig. 6 has no numbers


def claims(config: Config) -> "Sequence[Claim]":
    """Section 3 and the conclusion, claim by claim."""
    from rnnlab.claims import (
        Claim,
        above,
        all_of,
        at_best_validation,
        best,
        cheaper,
        drop_from_best,
        equivalent,
        fewer_parameters,
        fluctuation,
        higher,
        in_most,
        ordered,
    )  # fmt: skip

    selected_on_test = config.protocol == "validate_on_test"
    accuracy = (best("test", "accuracy") if selected_on_test else at_best_validation("accuracy")).or_worst(0.1)
    drop = drop_from_best("test", "accuracy")
    unrest = fluctuation("test", "accuracy", config.epochs // 2 + 1)
    variants, near, far = CELLS[1:], ("lstm1", "lstm2"), ("lstm3", "lstm4", "lstm5")
    low, _, high = RATES

    def names(activation: str, cells: Sequence[str] = CELLS) -> list[str]:
        return [f"{cell}-{activation}" for cell in cells]

    def at_best(found: "Evidence", arm: str) -> "Group":
        return found.best_on_validation(arm, "accuracy")

    def at_rate(found: "Evidence", arm: str, rate: float) -> "Group":
        return found.group(arm, learning_rate=rate)

    def comparable(cell: str) -> "Claim":
        def rule(found: "Evidence") -> "Rule":
            alike = [
                equivalent(at_best(found, f"{cell}-{act}"), at_best(found, f"lstm-{act}"), accuracy, within=CLOSE)
                for act in TABLES
            ]
            return all_of(*alike, fewer_parameters(found.arms, f"{cell}-tanh", "lstm-tanh"))

        return Claim(
            f"A {cell}", f"{cell.upper()} is comparable to the LSTM while using fewer parameters.", "Tables 1, 3-5",
            [f"{name}-{act}" for act in TABLES for name in (cell, "lstm")], rule, "abstract, section 4",
            "equivalent to the LSTM within 1 point with tanh, sigmoid and relu, each at its best rate, and fewer "
            "parameters; 1 point is twice the differences that the paper calls close",
        )  # fmt: skip

    def order_of_tanh(found: "Evidence") -> "Rule":
        parts = []
        for rate in RATES:
            at = {cell: at_rate(found, f"{cell}-tanh", rate) for cell in CELLS}
            parts += [higher(at["lstm"], at[cell], accuracy, by=-0.002) for cell in near]
            parts += [higher(at[a], at["lstm5"], accuracy) for a in near]
            parts += [higher(at["lstm5"], at[b], accuracy) for b in ("lstm4", "lstm3")]
        return all_of(*parts)

    def order_of_sigmoid(found: "Evidence") -> "Rule":
        printed = names("sigmoid", ("lstm1", "lstm2", "lstm5", "lstm4", "lstm3"))
        return all_of(*(ordered([at_rate(found, arm, rate) for arm in printed], accuracy) for rate in RATES))

    def close(activation: str, sentence: str, published: str, section: str) -> "Claim":
        def rule(found: "Evidence") -> "Rule":
            lstm3 = at_rate(found, f"lstm3-{activation}", high)
            return equivalent(lstm3, at_best(found, f"lstm-{activation}"), accuracy, within=CLOSE)

        return Claim(f"A close, {activation}", sentence, published, names(activation, ("lstm", "lstm3")), rule, section,
                     "equivalent within 1 point, twice the printed difference")  # fmt: skip

    def larger_rate(found: "Evidence") -> "Rule":
        pairs = [(at_rate(found, arm, high), at_rate(found, arm, low)) for arm in names("sigmoid")]
        return all_of(*(higher(fast, slow, value) for fast, slow in pairs for value in (accuracy, unrest)))

    def relu_fluctuates(found: "Evidence") -> "Rule":
        return all_of(*(higher(at_rate(found, arm, high), at_rate(found, arm, low), unrest) for arm in names("relu")))

    def relu_drops(found: "Evidence") -> "Rule":
        drops = [in_most(at_rate(found, arm, high), drop, above=DROP) for arm in names("relu", ("lstm", *near))]
        return all_of(*drops, *(in_most(at_rate(found, arm, high), drop, below=DROP) for arm in names("relu", far)))

    def relu_sustained(found: "Evidence") -> "Rule":
        return all_of(
            *(in_most(at_rate(found, arm, rate), drop, below=DROP) for arm in names("relu", far) for rate in RATES)
        )

    def relu_best(found: "Evidence") -> "Rule":
        others = [cell for cell in variants if cell != "lstm3"]
        lstm3 = at_best(found, "lstm3-relu")
        return all_of(*(higher(lstm3, at_best(found, f"{cell}-relu"), accuracy) for cell in others))

    diverged = "a diverged run counts as a drop; exact sign test, so 5 seeds are the fewest; a drop is 1 point or more"
    return [
        *(comparable(cell) for cell in variants),
        Claim("A1", "With tanh all variants converge to above 98 %.", "98.53 to 99.07 %, best test",
              names("tanh", variants), lambda found: all_of(
                  *(above(at_best(found, arm), accuracy, 0.98) for arm in names("tanh", variants))),
              "section 3.1", "each at its best rate: at 1e-4 the paper's own LSTM3-5 are below 98 %"),
        Claim("A2", "With tanh, at all three rates, LSTM1 and LSTM2 are closest to the LSTM, then LSTM5, then LSTM4 "
              "and LSTM3.", "Table 3", names("tanh"), order_of_tanh, "section 3.1",
              "closest is most accurate, with the LSTM at most 0.2 points below LSTM1 and LSTM2, or the order of "
              "accuracy would not be that of closeness; in the paper's table LSTM4 is above LSTM5 at 1e-3"),
        Claim("A2 sigmoid", "With sigmoid LSTM1, LSTM2, LSTM5, LSTM4 and LSTM3 are closest to the LSTM, in this order.",
              "Table 4", names("sigmoid", variants), order_of_sigmoid, "section 3.2",
              "a chain of paired differences at each rate; the paper's own table has LSTM2 above LSTM1 and LSTM3 above "
              "LSTM4 at 1e-4"),
        close("tanh", "LSTM3 at 2e-3 is close to the best LSTM with tanh.", "98.60, 99.09 %", "section 3.1"),
        close("sigmoid", "LSTM3 at 2e-3 is close to the best LSTM with sigmoid.", "98.34, 98.86 %", "section 3.2"),
        Claim("A eta", "With sigmoid a larger rate gives better test accuracy and more fluctuation.", "Table 4",
              names("sigmoid"), larger_rate, "section 3.2",
              "2e-3 against 1e-4 for each cell; fluctuation is the mean absolute change of test accuracy between "
              "epochs of the second half, when learning itself changes little"),
        Claim("A3", "With relu LSTM, LSTM1 and LSTM2 drop after a number of epochs; LSTM3, LSTM4 and LSTM5 do not.",
              "Fig. 6", names("relu"), relu_drops, "section 3.3", f"at 2e-3, as in Fig. 6; {diverged}"),
        Claim("A3 sustained", "With relu LSTM3, LSTM4 and LSTM5 are sustained for all three rates.", "no number",
              names("relu", far), relu_sustained, "section 3.3", diverged),
        Claim("A3 best", "With relu LSTM3 shows the best performance among all five variants.", "99.00 %",
              names("relu", variants), relu_best, "section 3.3", "each at its best rate"),
        Claim("A3 fluctuation", "With relu the models fluctuate for a larger rate.", "no number", names("relu"),
              relu_fluctuates, "section 3.3", "2e-3 against 1e-4 for each cell, in the second half of the epochs"),
        Claim("A4", "With relu LSTM3 at 2e-3 beats the best LSTM.", "99.00 against 98.43 %",
              names("relu", ("lstm", "lstm3")),
              lambda found: higher(at_rate(found, "lstm3-relu", high), at_best(found, "lstm-relu"), accuracy),
              "section 3.3"),
        Claim("A5", "The variants take less time for an epoch.", "27, 25, 14, 23, 24 s against 30 s", names("tanh"),
              lambda found: all_of(*(cheaper(found.timings, cell, "lstm") for cell in variants)),
              "abstract, Table 1", "training steps timed in turn with the LSTM's, by bench", epochs=1),
        Claim("A5 fastest", "LSTM3 is the fastest model.", "14 s", names("tanh"),
              lambda found: all_of(*(cheaper(found.timings, "lstm3", cell) for cell in CELLS if cell != "lstm3")),
              "section 3.1", "as A5", epochs=1),
    ]  # fmt: skip
