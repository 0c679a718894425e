"""What every test shares: four devices on the CPU, asked for before JAX starts, and how its programs are compiled."""

import gc
import os
from importlib.metadata import version

import pytest

# A process that has compiled for a thousand tests holds gigabytes, which every full collection walks through.
gc.set_threshold(50_000, 20, 50)


def pytest_configure(config: pytest.Config) -> None:
    """Most of a test is compilation. Processes that tests start do as these, hence the environment.

    So tests are compiled in haste, but for ``-m shipped``: these are compiled as a user's programs are.
    """
    if config.getoption("markexpr") != "shipped":
        hasty = "--xla_backend_optimization_level=0"
        if version("jaxlib").startswith("0.10."):  # later ones know nothing of it
            hasty += " --xla_cpu_use_fusion_emitters=false"
        os.environ.setdefault("XLA_FLAGS", hasty)

    os.environ.setdefault("JAX_ENABLE_COMPILATION_CACHE", "false")  # not into the user's folder

    import jax  # which reads them

    jax.config.update("jax_num_cpu_devices", 4)
