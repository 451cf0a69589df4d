"""Many searches on devices."""
