"""What every test shares: four devices on the CPU, asked for before JAX starts."""

import gc

import jax

jax.config.update("jax_num_cpu_devices", 4)

# A process that has compiled for a thousand tests holds gigabytes, which every full collection walks through.
gc.set_threshold(50_000, 20, 50)
