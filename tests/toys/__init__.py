"""A toy of every kind of change, each made exactly as tests/README.md says: one file, and a row in `rows.py`."""
