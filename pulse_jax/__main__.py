"""`python -m pulse_jax`: the program `pulse-jax`."""

import sys

from pulse_jax.cli import main

if __name__ == "__main__":
    sys.exit(main())
