"""TODO robots."""
