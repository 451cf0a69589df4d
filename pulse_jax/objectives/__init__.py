"""The loss language and its terms."""
