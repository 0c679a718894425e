"""Training of all runs of an arm: ``ArmSpec``, hyperparameters ``[R]`` and batches -> ``TrainState`` and metric sums.

`arm_spec` builds the model and optimizer of an arm, `single_run` trains one run, `sweep` maps it over all runs and
devices; `tasks` declares losses and metrics, `probes` measurements inside the model. Imports core, config, cells and
models.
"""
