"""Runs before this one: what they have seen, how their job is run again, what differs between two."""

__all__ = ["again", "comparison", "previous"]
