"""Generators: architectures, networks, priors of w, and the folder they lie in."""
