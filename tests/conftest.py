"""What every test shares: four devices on the CPU, asked for before JAX starts, and what was compiled before."""

import gc
import os
from pathlib import Path

# Most of a test is compilation. Processes that tests start share what is kept, hence the environment.
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(Path(__file__).parent.parent / ".pytest_cache" / "jax"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")

import jax

jax.config.update("jax_num_cpu_devices", 4)

# A process that has compiled for a thousand tests holds gigabytes, which every full collection walks through.
gc.set_threshold(50_000, 20, 50)
