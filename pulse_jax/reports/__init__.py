"""What solutions, priors and machines are worth, as numbers and pictures."""
