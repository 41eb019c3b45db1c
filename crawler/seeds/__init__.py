"""TODO seeds."""
