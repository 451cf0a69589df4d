"""Shape annotations are checked while testing: jaxtyping's hook must be in place before pulse_jax is first imported."""

import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")

from jaxtyping import install_import_hook

install_import_hook("pulse_jax", "beartype.beartype")
