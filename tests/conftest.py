"""What every test shares: four devices on the CPU, asked for before JAX starts."""

import jax

jax.config.update("jax_num_cpu_devices", 4)
