"""Networks as Flax modules and pure functions."""
