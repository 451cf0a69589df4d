"""What tests of the web pages share."""

from tests.cli.conftest import fake, inputs

__all__ = ["fake", "inputs"]
