"""Errors, texts, files, threads and devices: knows nothing of pictures or searches."""
