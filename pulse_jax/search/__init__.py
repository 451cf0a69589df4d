"""One search: settings, space, objective, step and verdict."""
