"""Pictures: files, inputs and degradations."""
