"""TODO politeness."""
