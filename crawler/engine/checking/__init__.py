"""What is different in a run that checks links."""

__all__ = ["leaves"]
