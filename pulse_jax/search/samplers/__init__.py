"""Markov chains on the product of spheres, in the inner protocol of searches."""
