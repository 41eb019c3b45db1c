"""TODO fetch/connect."""
