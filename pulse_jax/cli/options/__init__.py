"""The options of every command: a frozen dataclass each, from which tyro makes flags and help (no JAX)."""
