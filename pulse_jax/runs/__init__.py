"""A folder of results: what a run is to do, and what it writes down."""
