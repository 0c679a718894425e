"""From a ``Config`` to a finished run directory, and back.

`validate` turns a ``Config`` into an ``Experiment`` or an error of the user; `run.start` and `run.resume` train its
arms with `arm_trainer.train_arm` and write the directory; `saved_run.load_run` reads one. Imports all packages before
it: core, config, data, cells, models, train, storage and stats.
"""
